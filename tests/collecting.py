"""Collectors in this process, with an Orthanc of their own behind them."""

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from orthanc_deid.collect.base import Tools
from orthanc_deid.collect.folder import WatchFolder
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.collected import Collected
from orthanc_deid.database.origins import Origins
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from orthanc_deid.sealed import Seal
from orthanc_deid.settings.sources import FolderSource
from servers import OrthancServer

NAME = "inbox"


def new_tools(
    server: OrthancServer, folder: Path, database: Engine | None = None, demand_open: Callable[[], None] = lambda: None
) -> Tools:
    """Return tools with an empty database, or with that one."""
    folder.mkdir(parents=True, exist_ok=True)
    if database is None:
        database = open_database(f"sqlite:///{folder / 'deid.sqlite'}")
        migrate(database)
    seal = Seal(secrets.token_bytes(32))
    return Tools(
        orthanc=Orthanc(Address(server.url, basic("admin", server.password), 20.0)),
        origins=Origins(database, seal),
        collected=Collected(database),
        seal=seal,
        work=folder / "work",
        stopping=threading.Event(),
        demand_open=demand_open,
    )


class Inbox:
    """A watch folder and its collector; `look` looks until nothing is taken any more."""

    def __init__(self, server: OrthancServer, folder: Path, **more: Any) -> None:  # noqa: ANN401  # the settings
        self.path = folder / "in"
        self.path.mkdir(parents=True)
        self.settings = FolderSource(
            **{"name": NAME, "kind": "folder", "path": self.path, "settle_s": 0.0, "notify": False, **more}
        )
        self.tools = new_tools(server, folder / "home")
        self.collector = WatchFolder(self.settings, self.tools)

    def put(self, name: str, content: bytes) -> Path:
        """Write a file as another program would that writes under another name first."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        return part.rename(path)

    def look(self) -> None:
        """Look until nothing new is found."""
        for _ in range(20):
            if not self.collector.look():
                return
        raise AssertionError("it takes something again and again")

    def tree(self) -> list[str]:
        """Return every file by its path in the folder, with the days of folders left off."""
        found = (path.relative_to(self.path).parts for path in self.path.rglob("*") if path.is_file())
        return sorted("/".join(part for part in parts if not _is_day(part)) for parts in found)

    def reason(self, name: str) -> str:
        """Return the text beside a file of that name."""
        (found,) = self.path.rglob(f"{name}.reason.txt")
        return found.read_text()


def _is_day(part: str) -> bool:
    return len(part) == len("2026-11-21") and part[4] == part[7] == "-" and part.replace("-", "").isdigit()
