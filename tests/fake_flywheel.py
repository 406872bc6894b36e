"""Stand-in for a Flywheel site: a real HTTP server that answers as the models of the real SDK say.

What it is like: a key that is wrong gets 401; a filter reads a value as Flywheel does (digits are a number, quotes make
them text); the same file name again is the same file_id and the next version; a ticket works once and checks sizes.
What it cannot prove: validation, permissions and digest algorithms of a real site.
"""

import hashlib
import json
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "fake-flywheel-key"
ALIGNMENT = 256 * 1024
NOW = "2026-11-21T12:00:00.000000+00:00"
CHILDREN = {"groups": "projects", "projects": "subjects", "subjects": "sessions", "sessions": "acquisitions"}
SINGULAR = {"projects": "project", "subjects": "subject", "sessions": "session", "acquisitions": "acquisition"}
LEVELS = ("project", "subject", "session", "acquisition")


@dataclass
class Call:
    """One request as it arrived; of uploads the body is left out."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]
    status: int = 0


@dataclass
class Faults:
    """What goes wrong; each number counts down."""

    unavailable: int = 0  # answers of 503
    retry_after: str | None = None
    cut_uploads: int = 0  # the connection ends in the middle of a file
    lost_answers: int = 0  # what was asked is done, and the connection ends before the answer
    lost_path: str = ""  # only of a path that ends so
    slow_s: float = 0.0  # before each answer
    hold_upload_s: float = 0.0  # in the middle of a file
    full: int = 0  # uploads that are answered with `full_status`
    full_status: int = 507
    forbidden: tuple[str, ...] = ()  # beginnings of paths that answer 403
    refused_classes: bool = False


@dataclass
class FakeFlywheel:
    """The site; `with FakeFlywheel() as site` serves it on a free port."""

    signed: bool = False
    style: str = "plain"  # of signed URLs: plain, s3, s3-single, gcs
    part_bytes: int = 2 * ALIGNMENT
    digest: str = "v0-sha384"  # or sha256, md5, crc32c, none
    faults: Faults = field(default_factory=Faults)
    calls: list[Call] = field(default_factory=list)
    containers: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {level: {} for level in ("groups", *SINGULAR)}
    )
    contents: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)  # by file_id, name: each version
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    port: int = 0
    _next: int = 0

    def __post_init__(self) -> None:
        template = [{"_id": "reader@example.org", "role_ids": ["5f0000000000000000000001"]}]
        self.containers["groups"]["lab"] = {"_id": "lab", "label": "Lab", "permissions_template": template}

    @property
    def key(self) -> str:
        """The API key of the site's user."""
        return f"127.0.0.1:{self.port}:__force_insecure:{KEY}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"fake": self}))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Stop answering for a while; what is stored stays."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def new_id(self) -> str:
        self._next += 1
        return f"{0x6560000000000000 + self._next:016x}deadbeef"

    def add(self, level: str, **values: Any) -> str:  # noqa: ANN401  # JSON
        """Make a container, as another tool may have done."""
        values = {"_id": self.new_id(), "files": [], "created": NOW, "modified": NOW, "revision": 1, **values}
        self.containers[level][values["_id"]] = values
        return str(values["_id"])

    def labels(self, level: str) -> list[str]:
        return sorted(each["label"] for each in self.containers[level].values())

    def files(self) -> dict[str, dict[str, Any]]:
        """All current files, by `acquisition label/name`."""
        return {
            f"{acquisition['label']}/{file['name']}": file
            for acquisition in self.containers["acquisitions"].values()
            for file in acquisition["files"]
        }

    def content(self, name: str) -> bytes:
        """Return the bytes of the current version of `acquisition label/name`."""
        file = self.files()[name]
        return self.contents[file["file_id"], file["name"]][-1]

    def count(self, method: str, pattern: str) -> int:
        return sum(call.method == method and bool(re.fullmatch(pattern, call.path)) for call in self.calls)

    def created(self) -> Counter[str]:
        """How many containers of each level were made by requests that came through."""
        made = [c.path.rpartition("/")[2] for c in self.calls if c.method == "POST" and c.status == 200]
        return Counter(each for each in made if each in SINGULAR)

    def everything(self) -> str:
        """All that was ever told to the site, as one text; for planted values."""
        told = [f"{c.method} {c.path} {c.query} {json.dumps(c.body)} {dict(c.headers)}" for c in self.calls]
        return "\n".join([*told, json.dumps(self.containers, default=str)])

    # What it does.

    def put_file(self, acquisition: str, name: str, content: bytes) -> dict[str, Any]:
        holder = self.containers["acquisitions"][acquisition]
        old = next((each for each in holder["files"] if each["name"] == name), None)
        file: dict[str, Any] = {
            "_id": self.new_id(),
            "name": name,
            "file_id": old["file_id"] if old else self.new_id(),
            "version": old["version"] + 1 if old else 1,
            "size": len(content),
            "hash": self._digest(content),
            "mimetype": "application/octet-stream",
            "type": "dicom" if name.endswith(".dicom.zip") else "nifti" if ".nii" in name else None,
            "classification": {},
            "info": {},
            "tags": [],
            "origin": {"type": "user", "id": "deid@example.org"},
            "parent_ref": {"type": "acquisition", "id": acquisition},
            "created": NOW,
            "modified": NOW,
        }
        holder["files"] = [each for each in holder["files"] if each["name"] != name] + [file]
        self.contents.setdefault((file["file_id"], name), []).append(content)
        return file

    def _digest(self, content: bytes) -> str | None:
        if self.digest == "v0-sha384":
            return "v0-sha384-" + hashlib.sha384(content).hexdigest()
        if self.digest in ("sha256", "md5"):
            return hashlib.new(self.digest, content, usedforsecurity=False).hexdigest()
        return "q1w2e3==" if self.digest == "crc32c" else None

    def matching(self, children: str, parent: str, holder: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found = [each for each in self.containers[children].values() if self.parent(each, holder) == parent]
        for condition in filter(None, query.get("filter", "").split(",")):
            name, _, value = condition.partition("=")
            found = [each for each in found if each.get(name) == _cast(value)]
        found = [
            each for each in sorted(found, key=lambda each: each["_id"]) if each["_id"] > query.get("after_id", "")
        ]
        return [{**each, "container_type": SINGULAR[children]} for each in found][: int(query.get("limit", 1000))]

    def parent(self, container: Mapping[str, Any], holder: str) -> str:
        return str(container["group"] if holder == "groups" else container["parents"][SINGULAR[holder]])

    def create(self, level: str, body: dict[str, Any]) -> tuple[int, Any]:
        above = {"subjects": "project", "sessions": "subject", "acquisitions": "session"}.get(level)
        if above is None:
            if body["group"] not in self.containers["groups"]:
                return 404, {"message": "no group"}
            template = self.containers["groups"][body["group"]]["permissions_template"]
            body = body | {"parents": {"group": body["group"]}, "permissions": [*template]}
        else:
            parent = body[above]["_id"] if isinstance(body[above], dict) else body[above]
            holder = self.containers[f"{above}s"].get(parent)
            if holder is None:
                return 404, {"message": "no parent"}
            body = body | {"parents": holder["parents"] | {above: parent}}
            if above == "subject":
                body["subject"] = {"_id": parent, "label": holder["label"], "parents": holder["parents"]}
        same = [e for e in self.containers[level].values() if e["label"] == body["label"]]
        if level in ("projects", "subjects") and any(e["parents"] == body["parents"] for e in same):
            return 409, {"message": "it exists"}
        return 200, {"_id": self.add(level, **body)}

    def upsert(self, project: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        above, answer = ("projects", project), {}
        for name in LEVELS[1:]:
            if name not in body:
                continue
            level = f"{name}s"
            there = self.matching(level, above[1], above[0], {})
            wanted = body[name]
            found = next((e for e in there if e["label"] == wanted["label"]), None)
            if found is None:
                link: Any = {"_id": above[1]} if name == "session" else above[1]
                _, made = self.create(level, {**wanted, SINGULAR[above[0]]: link})
                found = self.containers[level][made["_id"]] | {"upsert_result": "created"}
            answer[name] = {
                "_id": found["_id"], "label": found["label"], "upsert_result": found.get("upsert_result", "ignored"),
            }  # fmt: skip
            above = (level, found["_id"])
        return 200, answer

    def ticket(self, acquisition: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        name, size = body["filenames"][0], body["metadata"].get("size", 0)
        ticket = self.new_id()
        count = max(1, math.ceil(size / self.part_bytes))
        self.tickets[ticket] = {"acquisition": acquisition, "name": name, "size": size, "parts": {}, "used": False}
        marks = {"plain": "store", "s3": "bucket.s3.local", "s3-single": "bucket.s3.local", "gcs": "x.googleapis.com"}[
            self.style
        ]
        base = f"http://127.0.0.1:{self.port}/{marks}/{ticket}"
        upload = "" if self.style == "s3-single" else f"uploadId=U{ticket}&"
        urls = [f"{base}/{n}?{upload}signature=s{n}" for n in range(count)]
        return 200, {"ticket": ticket, "urls": {name: urls if count > 1 else urls[0]}, "headers": {}}

    def close_ticket(self, ticket: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401  # JSON
        kept = self.tickets.get(ticket)
        if kept is None or kept["used"]:
            return 404, {"message": "no such ticket"}
        kept["used"] = True
        content = b"".join(kept["parts"][n] for n in sorted(kept["parts"]))
        if len(content) != kept["size"]:
            return 400, {"message": "the size differs"}
        if self.style == "s3" and len((body or {}).get("multipart", {}).get("e_tags", ())) != len(kept["parts"]):
            return 400, {"message": "no tags"}
        return 200, [self.put_file(kept["acquisition"], kept["name"], content)]

    def change_file(self, acquisition: str, name: str, what: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        file = next((e for e in self.containers["acquisitions"][acquisition]["files"] if e["name"] == name), None)
        if file is None:
            return 404, {"message": "no file"}
        if what == "classification" and self.faults.refused_classes:
            return 422, {"message": "no such class"}
        if what == "info":
            file["info"] |= body.get("set", {})
        elif what == "classification":
            for key, values in body.get("add", {}).items():
                file["classification"][key] = sorted({*file["classification"].get(key, []), *values})
        else:
            file |= body
        return 200, {"modified": 1}


class _Handler(BaseHTTPRequestHandler):
    fake: FakeFlywheel
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one piece

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # names of the base

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        call = Call(self.command, unquote(parts.path), query, None, dict(self.headers))
        faults = self.fake.faults
        time.sleep(faults.slow_s)
        if faults.unavailable > 0:
            faults.unavailable -= 1
            self.fake.calls.append(call)
            self.close_connection = True
            self._answer(call, 503, {"message": "later"})
            return
        is_file = self.command == "PUT" and not call.path.startswith("/api/")
        is_multipart = self.headers.get("Content-Type", "").startswith("multipart/")
        content = self._content(is_upload=is_file or is_multipart)
        if content is None:
            self.close_connection = True
            return
        with self.fake.lock:
            if not is_file and not is_multipart and content:
                call.body = json.loads(content)
            self.fake.calls.append(call)
            status, answer = self._do(call, content)
        if faults.lost_answers > 0 and call.path.endswith(faults.lost_path) and self.command == "POST":
            faults.lost_answers -= 1
            call.status = status
            self.close_connection = True
            return
        self._answer(call, status, answer)

    def _content(self, *, is_upload: bool) -> bytes | None:
        faults, size = self.fake.faults, int(self.headers.get("Content-Length", 0))
        if not is_upload:
            return self.rfile.read(size)
        if faults.cut_uploads > 0:
            faults.cut_uploads -= 1
            self.rfile.read(size // 2)
            return None
        first = self.rfile.read(size // 2)
        time.sleep(faults.hold_upload_s)
        content = first + self.rfile.read(size - size // 2)
        return content if len(content) == size else None  # its sender has died

    def _answer(self, call: Call, status: int, answer: Any) -> None:  # noqa: ANN401  # JSON
        call.status = status
        body = json.dumps(answer, default=str).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 503 and self.fake.faults.retry_after:
                self.send_header("Retry-After", self.fake.faults.retry_after)
            if self.command == "PUT" and "/bucket.s3." in call.path:
                self.send_header("ETag", '"e-tag"')
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _do(self, call: Call, content: bytes) -> tuple[int, Any]:
        fake, path = self.fake, call.path
        if not path.startswith("/api/"):
            return self._store(path, content)
        path = path.removeprefix("/api/")
        if self.headers.get("Authorization") != f"scitran-user {KEY}":
            return 401, {"message": "Invalid API key"}
        if any(path.startswith(each) for each in fake.faults.forbidden):
            return 403, {"message": "forbidden"}
        for method, pattern, action in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and call.method == method:
                return action(fake, found.groups(), call, self, content)
        return 404, {"message": "not found"}

    def upload(self, acquisition: str, call: Call, content: bytes) -> tuple[int, Any]:
        if call.query.get("ticket"):
            return self.fake.close_ticket(call.query["ticket"], call.body)
        if self.fake.faults.full > 0:
            self.fake.faults.full -= 1
            return self.fake.faults.full_status, {"message": "no space"}
        if "ticket" in call.query:
            return self.fake.ticket(acquisition, call.body)
        name, data = _multipart(self.headers["Content-Type"], content)
        call.body = {"filename": name}
        return 200, [self.fake.put_file(acquisition, name, data)]

    def _store(self, path: str, content: bytes) -> tuple[int, Any]:
        _, _, ticket, number = path.split("/")
        kept = self.fake.tickets.get(ticket)
        if kept is None or kept["used"]:
            return 403, {}
        if self.fake.faults.full > 0:
            self.fake.faults.full -= 1
            return self.fake.faults.full_status, {}
        kept["parts"][int(number)] = content
        received = sum(map(len, kept["parts"].values()))
        return (308 if self.fake.style == "gcs" and received < kept["size"] else 200), {}


_Action = Callable[[FakeFlywheel, Sequence[str], Call, "_Handler", bytes], tuple[int, Any]]


def _get(fake: FakeFlywheel, found: Sequence[str], *_: object) -> tuple[int, Any]:
    container = fake.containers.get(found[0], {}).get(found[1])
    return (200, container) if container else (404, {"message": "not found"})


def _list(fake: FakeFlywheel, found: Sequence[str], call: Call, *_: object) -> tuple[int, Any]:
    level, key, child = found
    if CHILDREN.get(level) != child or key not in fake.containers[level]:
        return 404, {"message": "not found"}
    return 200, fake.matching(child, key, level, call.query)


def _permit(fake: FakeFlywheel, found: Sequence[str], call: Call, *_: object) -> tuple[int, Any]:
    fake.containers["projects"][found[0]]["permissions"].append(call.body)
    return 200, call.body


_ME = {"origin": {"type": "user", "id": "deid@example.org"}, "user_is_admin": False, "is_device": False}
_ROUTES: tuple[tuple[str, str, _Action], ...] = (
    ("GET", "auth/status", lambda *_: (200, _ME | {"roles": ["user"]})),
    ("GET", "config", lambda fake, *_: (200, {"features": {"signed_url": fake.signed}, "signed_url": fake.signed})),
    ("GET", "([a-z]+)/([^/]+)", _get),
    ("GET", "([a-z]+)/([^/]+)/([a-z]+)", _list),
    ("POST", "projects/([^/]+)/upsert-hierarchy", lambda fake, found, call, *_: fake.upsert(found[0], call.body)),
    ("POST", "projects/([^/]+)/permissions", _permit),
    (
        "POST",
        "(projects|subjects|sessions|acquisitions)",
        lambda fake, found, call, *_: fake.create(found[0], call.body),
    ),
    ("POST", "acquisitions/([^/]+)/files", lambda _, found, call, on, content: on.upload(found[0], call, content)),
    (
        "PUT",
        "acquisitions/([^/]+)/files/([^/]+)",
        lambda fake, found, call, *_: fake.change_file(found[0], found[1], "", call.body),
    ),
    (
        "PATCH",
        "acquisitions/([^/]+)/files/([^/]+)/(info|classification)",
        lambda fake, found, call, *_: fake.change_file(found[0], found[1], found[2], call.body),
    ),
)


def _multipart(content_type: str, body: bytes) -> tuple[str, bytes]:
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    for part in body.split(boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        found = re.search(rb'name="file"; filename="([^"]+)"', head)
        if found:
            return found[1].decode(), data[:-2]
    raise AssertionError("no file in the upload")


def _cast(value: str) -> Any:  # noqa: ANN401  # as Flywheel reads the value of a filter
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    if value == "null":
        return None
    try:
        return float(value)
    except ValueError:
        return value
