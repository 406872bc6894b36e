"""The audit's chain: what a record's hash is made of, and how a row of records is verified; standard library only."""

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

NOTHING = ""  # the hash before the first record


@dataclass(frozen=True)
class Entry:
    """One record; `detail` is the text of a JSON object as `canonical` writes it, `at` UTC seconds since 1970."""

    id: int
    at: float
    what: str
    study_id: int | None
    project: str | None
    actor: str
    detail: str
    hash: str = ""

    @property
    def columns(self) -> dict[str, Any]:
        """The record as a row of a table."""
        return asdict(self)

    @property
    def shown(self) -> dict[str, Any]:
        """The record as a line of an export says it."""
        return self.columns | {"detail": json.loads(self.detail)}


@dataclass(frozen=True)
class Head:
    """The newest record's number and hash, and what proves that there was none after it."""

    last: int
    hash: str
    mac: str

    @property
    def columns(self) -> dict[str, Any]:
        """The head as a line of an export says it."""
        return asdict(self)


@dataclass(frozen=True)
class Fault:
    """The first record that is wrong, and what is wrong with it."""

    number: int
    why: str


def entry(line: Mapping[str, Any]) -> Entry:
    """Read a line of an export; KeyError, TypeError or ValueError where it is none."""
    read = Entry(**{**line, "detail": canonical(line["detail"])})
    if type(read.id) is not int or not isinstance(read.hash, str) or not isinstance(line["detail"], dict):
        raise TypeError("not a record")
    return read


def canonical(value: object) -> str:
    """Return the one text of a JSON value: ASCII, keys sorted, no blanks."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def hash_of(key: bytes, record: Entry, before: str) -> str:
    """Return the HMAC-SHA-256 of a record and of the hash before it, as 64 hexadecimal digits."""
    told = [record.id, record.at, record.what, record.study_id, record.project, record.actor, record.detail, before]
    return hmac.digest(key, canonical(told).encode(), "sha256").hex()


def mac_of(key: bytes, last: int, newest: str) -> str:
    """Return what binds the number of the newest record to its hash."""
    return hmac.digest(key, f"head {last} {newest}".encode(), "sha256").hex()


def is_right(key: bytes, head: Head) -> bool:
    """Tell whether a head was written with that key."""
    return hmac.compare_digest(head.mac.encode(), mac_of(key, head.last, head.hash).encode())


def compared(number: int, noted: str, found: str | None) -> Fault | None:
    """Compare a record with the hash of it that was noted elsewhere."""
    if found is None:
        return Fault(number, "is missing: it was noted elsewhere, so records were lost or an older state was put back")
    if not hmac.compare_digest(found.encode(), noted.encode()):
        return Fault(number, "is another than was noted elsewhere: an older state was put back and written on")
    return None


class Verifier:
    """Takes records one after another; holds the last one's number and hash only.

    Parameters
    ----------
    key
        Of the chain.
    after, before
        Number and hash of the record before the first that is taken. A hash that was invented does not help a forger:
        without the key no record fits it.
    """

    def __init__(self, key: bytes, after: int = 0, before: str = NOTHING) -> None:
        self._key = key
        self.last, self.hash = after, before

    def take(self, records: Iterable[Entry]) -> Fault | None:
        """Verify the next records; answer the first that is wrong."""
        for record in records:
            if record.id != self.last + 1:
                return self._out_of_row(record.id)
            if not hmac.compare_digest(hash_of(self._key, record, self.hash).encode(), record.hash.encode()):
                return Fault(record.id, "was changed or put in, or what stood before it was taken out")
            self.last, self.hash = record.id, record.hash
        return None

    def end(self, head: Head | None) -> Fault | None:
        """Verify that nothing was cut off after the last record that was taken."""
        if head is None:
            return Fault(self.last + 1, "is missing: there is no head") if self.last else None
        if not is_right(self._key, head):
            return Fault(self.last + 1, "is missing or the head was changed: the head's own proof is wrong")
        if head.last > self.last:
            return Fault(self.last + 1, f"is missing: the head says that there are {head.last}")
        if head.last < self.last or head.hash != self.hash:
            return Fault(head.last + 1, "is more than the head says")
        return None

    def _out_of_row(self, number: int) -> Fault:
        if number > self.last + 1:
            return Fault(self.last + 1, "is missing")
        return Fault(number, "stands where another one belongs")
