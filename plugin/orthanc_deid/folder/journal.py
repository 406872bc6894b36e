"""What was done already, so that a run that was ended goes on: keyed digests, new UIDs and counts, no identity.

It stands in ORTHANC_DEID_HOME, where all state is, so that OUT holds nothing but DICOM files.
"""

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..confidentiality.identifiers import KINDS, Identifiers
from ..confidentiality.pseudonyms import Patient
from ..errors import ConfigurationError
from ..packed.unpack import Source
from .instances import Made

_DIGEST = 16  # bytes


@dataclass(frozen=True)
class Terms:
    """What must be the same for a run to go on; an output of other terms would be another one."""

    profile: str
    profile_digest: str
    key: str  # a digest that the key made of nothing
    software: str


# What a person is told about terms that differ.
_DIFFERS = {
    "key": "another key or project",
    "profile": "another profile ({})",
    "profile_digest": "another content of the profile {}",
    "software": "another version ({})",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """An output and what it was made of: digests of the source's path, of its state, and of what was known."""

    source: str
    stamp: str
    known: str
    path: str
    size: int
    sha256: str
    notes: dict[str, int]

    @property
    def made(self) -> Made:
        """The output."""
        return Made(self.path, self.size, self.sha256, self.notes)


class Digests:
    """Keyed digests: whoever reads the journal without the key can find out nothing by trying."""

    def __init__(self, project_key: bytes) -> None:
        self._key = project_key

    def key(self) -> str:
        """Answer what tells this key from another."""
        return self._of("key", "")

    def source(self, source: Source) -> str:
        """Answer what stands for the path of a source."""
        return self._of("path", f"{source.path}\x00{source.index}\x00{source.member}")

    def stamp(self, source: Source) -> str:
        """Answer what differs where a source was changed."""
        return self._of("stamp", source.stamp)

    def known(self, known: Identifiers, patients: Sequence[Patient] = ()) -> str:
        """Answer what differs where more is known of a study, or its patients are called otherwise.

        UIDs are mapped whether known or not.
        """
        texts: dict[str, Any] = {kind: sorted(getattr(known, kind)) for kind in KINDS if kind != "uids"}
        texts["called"] = [(each.normal, each.assigned, each.offset_days) for each in patients]
        return self._of("known", json.dumps(texts))

    def _of(self, kind: str, text: str) -> str:
        data = f"orthanc-deid\x00folder {kind}\x00{text}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, data, "sha256")[:_DIGEST].hex()


def place_of(home: Path, out: Path) -> Path:
    """Answer where the journal of an OUT stands."""
    name = hashlib.sha256(os.fsencode(out.resolve())).hexdigest()[: 2 * _DIGEST]
    return home / "folders" / f"{name}.jsonl"


def entry(digests: Digests, source: Source, known: str, made: Made) -> Entry:
    """Make the entry of an output; `known` is the digest of what was known of its study."""
    at, state = digests.source(source), digests.stamp(source)
    return Entry(at, state, known, made.path, made.size, made.sha256, dict(made.notes))


class Journal:
    """One line of terms, then one line for each output; opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigurationError("another run writes into OUT at this moment: wait for its end") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def begin(self, terms: Terms, *, empty: bool) -> list[Entry]:
        """Return what was done already under the same terms; `empty`: OUT holds nothing, so nothing was.

        Raises
        ------
        ConfigurationError
            OUT holds something that is not of this program, or of other terms.
        """
        lines = [] if empty else self._lines()
        if not lines:
            if not empty:
                raise ConfigurationError("OUT is not empty and was not written by this command: choose an empty folder")
            self._truncate(0)
            self._append([asdict(terms)])
            return []
        _demand(terms, lines[0])
        names = {field.name for field in fields(Entry)}
        made = [Entry(**line) for line in lines[1:] if line.keys() == names]
        return list({entry.source: entry for entry in made}.values())  # the last of each

    def note(self, entries: Sequence[Entry]) -> None:
        """Write down outputs that are on the disk."""
        self._append([asdict(entry) for entry in entries])

    def _lines(self) -> list[dict[str, Any]]:
        """Read whole lines; what a power cut left of the last one goes."""
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._truncate(len(whole))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            raise ConfigurationError("the journal of OUT is damaged: empty OUT and start again") from None

    def _truncate(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)

    def _append(self, lines: Sequence[dict[str, Any]]) -> None:
        self._file.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())


def _demand(terms: Terms, found: dict[str, Any]) -> None:
    for name, words in _DIFFERS.items():
        if found.get(name) != getattr(terms, name):
            told = words.format(found.get(name) if name != "profile_digest" else terms.profile)
            raise ConfigurationError(
                f"OUT holds results of {told}: choose an empty folder, or empty this one to start again"
            )
