"""The service without a server: requests go to the application itself."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from orthanc_deid import settings
from orthanc_deid.service.app import build
from orthanc_deid.service.runtime import Runtime

SECRET = "of this test"


@dataclass(frozen=True)
class Answer:
    """Status, headers and body; the body parsed where it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


async def call(app: FastAPI, method: str, target: str, headers: dict[str, bytes], body: bytes = b"") -> Answer:
    """Send one request to the application itself, without a server between."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value) for name, value in headers.items()],
        "server": None, "client": None,
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()  # the client stays
        return waiting.pop()

    async def send(message: Any) -> None:  # noqa: ANN401  # ASGI's own
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], answered, _read(content))


class Service:
    """The application with a real ledger and queue, and an Orthanc that does not answer."""

    def __init__(self, folder: Path, deid: str = "", database_url: str = "") -> None:
        (folder / "deid.yaml").write_text(deid)
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text("00" * 32)
        environment = {
            "ORTHANC_DEID_HOME": str(folder),
            "ORTHANC_DEID_CONFIG": str(folder / "deid.yaml"),
            "ORTHANC_DEID_ORTHANC_URL": "http://127.0.0.1:1",
            "ORTHANC_DEID_DATABASE_URL": database_url,
        }
        self.runtime = Runtime(settings.load(environment))
        self.app = build(self.runtime, SECRET)

    def ask(  # what a request is made of
        self, method: str, target: str, *, user: bytes = b"", secret: str = SECRET, body: bytes = b"",
        content_type: str = "application/json", headers: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Answer:  # fmt: skip
        """Send a request with the secret, as the plugin does."""
        sent = {"X-Deid-Secret": secret.encode(), "X-Deid-User": user} | dict(headers)
        if body:
            sent |= {"Content-Type": content_type.encode(), "Content-Length": str(len(body)).encode()}
        return asyncio.run(call(self.app, method, target, sent, body))

    def close(self) -> None:
        """Give connections back."""
        self.runtime.queue.close()
        self.runtime.database.dispose()


def _read(content: bytes) -> Any:  # noqa: ANN401  # JSON
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode()
