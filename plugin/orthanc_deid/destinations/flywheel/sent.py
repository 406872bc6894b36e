"""What the journal of a shipment remembers of Flywheel."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base import Journal, Receipt
from .digests import Digests
from .site import RemoteFile

KEPT = "kept"


@dataclass(frozen=True)
class Sent:
    """A file that is there: ours, or another's that the site wants kept."""

    acquisition: str
    file_id: str
    version: int
    sha384: str  # `kept`: of a file that is not ours
    content: str  # what it was made of, 16 digits, and the version of the study where it was new in that

    def is_ours(self) -> bool:
        """Answer whether we have sent it."""
        return self.sha384 != KEPT

    def holds(self, content: str) -> bool:
        """Answer whether it was made of the same, in whatever version."""
        return self.content.partition(".")[0] == content

    def is_file(self, there: RemoteFile | None) -> bool:
        """Answer whether Flywheel still has this version of it as the current one."""
        return there is not None and (there.file_id, there.version) == (self.file_id, self.version)


@dataclass(frozen=True)
class Memory:
    """The journal in terms of Flywheel; `place` keeps one site's group apart from another's."""

    journal: Journal
    place: str

    def container(self, uid: str) -> str | None:
        """Return the id of the session or acquisition that holds what has this UID."""
        found = self.journal.get(f"{self.place} container {uid}")
        return found.remote if found else None

    def remember_container(self, uid: str, container: str) -> None:
        """Note where it is."""
        self.journal.put(f"{self.place} container {uid}", Receipt(0, "", container))

    def sent(self, key: str) -> tuple[Sent, Receipt] | None:
        """Return what is known of a file that has arrived."""
        found = self.journal.get(f"{self.place} file {key}")
        if found is None:
            return None
        acquisition, file_id, version, sha384, content = found.remote.split(" ")
        return Sent(acquisition, file_id, int(version), sha384, content), found

    def remember_sent(self, key: str, sent: Sent, size: int, sha256: str) -> None:
        """Note that it has arrived, or that what is there is kept."""
        remote = f"{sent.acquisition} {sent.file_id} {sent.version} {sent.sha384} {sent.content}"
        self.journal.put(f"{self.place} file {key}", Receipt(size, sha256, remote))

    def begun(self, key: str) -> Receipt | None:
        """Return what we began to send under that key."""
        return self.journal.get(f"{self.place} begun {key}")

    def begin(self, key: str, digests: Digests) -> None:
        """Note that what is found there from now on may be a piece of ours."""
        self.journal.put(f"{self.place} begun {key}", Receipt(digests.size, digests.sha256))

    def is_described(self, key: str, metadata: Mapping[str, Any]) -> bool:
        """Answer whether this metadata of this version was written."""
        found = self.journal.get(f"{self.place} described {key}")
        return found is not None and found.sha256 == _digest(metadata)

    def remember_described(self, key: str, metadata: Mapping[str, Any]) -> None:
        """Note that the metadata was written."""
        self.journal.put(f"{self.place} described {key}", Receipt(0, _digest(metadata)))


def content_of(parts: Sequence[str]) -> str:
    """Return 16 digits for a set of parts."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _digest(metadata: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True, default=str).encode()).hexdigest()
