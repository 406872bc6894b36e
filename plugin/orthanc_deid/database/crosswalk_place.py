"""Rows of the crosswalk as values: their digests, what they are bound to, and how they are closed and opened."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from ..errors import ConfigurationError, Rejected
from ..keyring import GONE, Keyring
from ..sealed import Cipher
from .crosswalk_tables import ACCESSION, INSTANCE, PATIENT, SERIES, STUDY, crosswalk, crosswalk_alias

KINDS = {"patient": PATIENT, "study": STUDY, "series": SERIES, "instance": INSTANCE, "accession": ACCESSION}
MOST_ALIASES = 8
_DIGEST = 16
Still = Callable[[Connection], None]  # raises where what is about to be written may not be written any more
# Made once: to make a question takes as long as to have it answered.
_NEWEST = select(func.max(crosswalk.c.generation))
_ALIAS = select(crosswalk_alias).where(
    crosswalk_alias.c.project_id == bindparam("project"), crosswalk_alias.c.original == bindparam("digest")
)


def folded(text: str) -> str:
    """Return a PatientID or issuer as `confidentiality.pseudonyms.normal` does, which the database does not know."""
    return text.strip("\x00 ").strip().casefold()


@dataclass(frozen=True, repr=False)
class Identity:
    """A patient as sources call him: IssuerOfPatientID and PatientID, compared as `folded`."""

    issuer: str
    patient_id: str

    @property
    def normal(self) -> str:
        """The text that is compared."""
        return f"{folded(self.issuer)}\x00{folded(self.patient_id)}"


@dataclass(frozen=True, repr=False)
class Known:
    """What the crosswalk holds of a patient: row, who he is after all aliases, what he is called."""

    row: int
    identity: Identity
    pseudonym: str
    offset_days: int | None = None  # None: derived from the project's key
    subject: str = ""


def at_any_time(_connection: Connection) -> None:
    """Stop nobody: what a writer asks who works for no run of a study."""


@dataclass(frozen=True, repr=False)
class Mapped:
    """What a value of the source has become; `more` is kept with it: a session's label."""

    kind: int
    original: str
    replaced: str
    more: Mapping[str, str] | None = None


class Place:
    """One project's keys: makes digests, closes and opens rows; for one transaction.

    Parameters
    ----------
    generation
        Number of the key that rows are closed with; 0 where nothing is written.
    key
        The project's, where it was read already.
    """

    def __init__(
        self, keyring: Keyring, project: str, number: int, generation: int = 0, key: bytes | None = None
    ) -> None:
        self.number, self.generation = number, generation
        self._keyring, self.project = keyring, project
        self._key = key or keyring.project(project)
        self._ciphers: dict[int, Cipher] = {}

    def original(self, kind: int, text: str, number: int = 0) -> bytes:
        """Return the digest of what the source says; `number`: of the other values that it became, from 1."""
        return self._digest(f"original {number}" if number else "original", kind, text)

    def replaced(self, kind: int, text: str) -> bytes:
        """Return the digest of what the output says; pseudonyms are compared without case."""
        return self._digest("replaced", kind, text.casefold())

    def row(self, patient: int, mapped: Mapped, number: int = 0) -> dict[str, Any]:
        """Return the columns of a mapping."""
        original = self.original(mapped.kind, mapped.original, number)
        replaced = self.replaced(mapped.kind, mapped.replaced)
        value = [mapped.original, mapped.replaced, *([dict(mapped.more)] if mapped.more else [])]
        return self._closed(mapped.kind, patient, original, replaced, value)

    def patient_row(self, known: Known, identity: Identity) -> dict[str, Any]:
        """Return the columns of a patient."""
        original = self.original(PATIENT, identity.normal)
        replaced = self.replaced(PATIENT, known.pseudonym)
        value = asdict(known) | {"identity": [identity.issuer, identity.patient_id]}
        del value["row"]
        return self._closed(PATIENT, None, original, replaced, value)

    def known(self, row: Row[Any]) -> Known:
        """Open a patient's row."""
        value = self.open(row)
        return Known(row.id, Identity(*value.pop("identity")), **value)

    def open(self, row: Row[Any]) -> Any:  # noqa: ANN401  # JSON
        """Return what a row holds; raise ConfigurationError where it was changed or moved."""
        return self.cipher(row.generation).open(row.sealed, self.context_of(row))

    def close_again(self, row: Row[Any]) -> bytes:
        """Return the text of a row of `crosswalk` or `crosswalk_alias`, encrypted with this place's generation."""
        context = self.context_of(row)
        return self.cipher(self.generation).close(self.cipher(row.generation).open(row.sealed, context), context)

    def cipher(self, generation: int) -> Cipher:
        """Return the cipher of a generation."""
        if generation not in self._ciphers:
            self._ciphers[generation] = Cipher(self._keyring.of_generation(self._key, generation))
        return self._ciphers[generation]

    def context_of(self, row: Row[Any]) -> bytes:
        """Return what the text of a row of `crosswalk` or `crosswalk_alias` is bound to."""
        if "kind" not in row._fields:
            return alias_context(self, row.original)
        return self.context(row.kind, row.patient_id, row.original, row.replaced)

    def context(self, kind: int, patient: int | None, original: bytes, replaced: bytes) -> bytes:
        """Return what a text is bound to: it opens in its own row alone."""
        return f"{self.project}\x00{kind}\x00{patient or 0}\x00".encode() + original + replaced

    def _closed(
        self, kind: int, patient: int | None, original: bytes, replaced: bytes, value: object
    ) -> dict[str, Any]:
        context = self.context(kind, patient, original, replaced)
        return {
            "project_id": self.number, "kind": kind, "patient_id": patient, "original": original,
            "replaced": replaced, "generation": self.generation,
            "sealed": self.cipher(self.generation).close(value, context),
        }  # fmt: skip

    def _digest(self, side: str, kind: int, text: str) -> bytes:
        data = f"crosswalk\x00{side}\x00{kind}\x00{text.strip(chr(0) + ' ')}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, data, "sha256")[:_DIGEST]


def newest_generation(connection: Connection, keyring: Keyring) -> int:
    """Return the number of the key to write with; the first is made where nothing was ever encrypted.

    The newest that a row has counts too: a folder that machines share is not seen by all of them at the same moment.

    Raises
    ------
    ConfigurationError
        Rows are encrypted, and no key is there.
    """
    used = connection.scalar(_NEWEST)
    there = keyring.generations()
    if not there and used:
        raise ConfigurationError(GONE.format(f"crosswalk-{used}"))
    return max(used or 0, there[-1] if there else keyring.add_generation())


def follow(connection: Connection, place: Place, identity: Identity) -> Identity:
    """Return who a patient is after all merges."""
    for _ in range(MOST_ALIASES):
        original = place.original(PATIENT, identity.normal)
        row = connection.execute(_ALIAS, {"project": place.number, "digest": original}).first()
        if row is None:
            return identity
        identity = Identity(*place.open(row)["present"])
    raise Rejected("the patient's former identities go round in a circle")


def alias_context(place: Place, original: bytes) -> bytes:
    """Return what the text of an alias is bound to."""
    return place.context(-1, None, original, b"")


def key_check(key: bytes) -> bytes:
    """Return 16 bytes by which another key is told."""
    return hmac.digest(key, b"orthanc-deid\x00check", "sha256")[:_DIGEST]
