"""Instances that come again: the same changes nothing, one with another content is put aside for the service."""

import logging
import sqlite3
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import log
from .door import keep_durably
from .header import Header, read_identity
from .keyring import Keyring
from .seen import Seen, Sight

BY_REST = "REST_API"
UNREADABLE = (ValueError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class _Came:
    """One instance that has come."""

    uids: bytes
    content: bytes
    own: bool  # one of our own outputs, or so it says
    known: Sight


class Repeats:
    """What the door asks of each instance that it would let in.

    Parameters
    ----------
    folder
        Takes what came again with another content.
    own_mark
        How DeidentificationMethod begins in what our workers store. An output that is made anew has the UIDs of the
        one before and may differ; it is let in, by REST only. Anybody can write that mark: who does so has a change of
        what Orthanc ignores anyway go unnoticed, and no more. None: no worker stores anything here.
    """

    def __init__(self, seen: Seen, folder: Path, own_mark: str | None) -> None:
        self._seen, self._folder = seen, folder
        self._own_mark = own_mark.encode() if own_mark else None
        self._told = False

    def keeps_out(self, dicom: bytes, header: Header, origin: str) -> bool:
        """Tell whether an instance came before with another content; then it is put aside.

        Where that cannot be found out it is let in: a sender is worth more than the notice of a change.

        Raises
        ------
        OSError
            It could not be put aside: its sender must see a failure.
        """
        came = self._came(dicom, header)
        if came is None or came.known in (Sight.NEW, Sight.SAME) or (came.own and origin == BY_REST):
            return False
        if came.known is Sight.CHANGED:
            keep_durably(self._folder, dicom, _about(dicom, origin))
            log.event("instance came again with another content", level=logging.WARNING, bytes=len(dicom))
            self._remember(came)
        return True

    def _came(self, dicom: bytes, header: Header) -> _Came | None:
        try:
            identity = read_identity(dicom, header)
            if identity is None:
                return None
            content = self._seen.content(dicom, header.start)
            known = self._seen.judge(identity.uids, content)
        except UNREADABLE:
            return None
        except (sqlite3.Error, OSError) as error:
            self._tell(error)
            return None
        own = self._own_mark is not None and identity.method.startswith(self._own_mark)
        self._told = False
        return _Came(identity.uids, content, own, known)

    def _remember(self, came: _Came) -> None:
        try:
            self._seen.put_aside(came.uids, came.content)
        except (sqlite3.Error, OSError) as error:
            self._tell(error)  # it is put aside once more when it comes once more

    def _tell(self, error: Exception) -> None:
        """Log it once until it works again, not for each instance."""
        if not self._told:
            log.event("repeated instances are not compared", level=logging.ERROR, error=type(error).__name__)
        self._told = True


def load(rules: Mapping[str, Any]) -> Repeats:
    """Make it of what door_rules prints.

    Raises
    ------
    ConfigurationError
        The key cannot be read.
    """
    master = Keyring(Path(rules["home"])).master
    return Repeats(Seen(Path(rules["seen"]), master), Path(rules["folder"]), rules["own_mark"])


def _about(dicom: bytes, origin: str) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"at": at, "bytes": len(dicom), "origin": origin}
