"""The door: looks at each instance before Orthanc stores it, and keeps in quarantine what it refuses.

On request it de-identifies what it lets in (arrival.py), so that Orthanc never stores what arrived.

Orthanc stores an instance unexamined when this callback raises, and waits for it under a mutex: so nothing gets out
of it but an answer, and it makes no call into Orthanc.
"""

import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from . import log
from .errors import Rejected
from .header import Header, NotDicom

Answer = tuple[int, bytes | None]
# No DICOM file: Orthanc answers 400 to a REST client and Refused: OutOfResources to a C-STORE sender, storing nothing.
NOT_STORED = b"orthanc-deid: not stored"


@dataclass(frozen=True)
class Actions:
    """Orthanc's constants, fetched at load."""

    keep: int
    discard: int
    modify: int
    origins: Mapping[int, str]


@dataclass(frozen=True)
class Refusal:
    """Refuses an instance that has every trait which is given."""

    name: str
    sop_class: str | None
    image_type: str | None

    def matches(self, header: Header) -> bool:
        """Compare; one value of ImageType, in any case, is enough."""
        if self.sop_class and self.sop_class not in header.sop_classes:
            return False
        return not self.image_type or self.image_type.upper() in (value.upper() for value in header.image_type)


@dataclass(frozen=True)
class Verdict:
    """Why an instance is kept out; `rule` where a rule of the configuration says so."""

    reason: str
    rule: str | None = None


class Again(Protocol):
    """Knows what has come before."""

    def keeps_out(self, dicom: bytes, header: Header, origin: str) -> bool:
        """Tell whether an instance came before with another content; then it is put aside. Raises OSError."""


class Door:
    """Orthanc's received-instance callback.

    Parameters
    ----------
    deidentify
        Answers what is stored in place of an instance, or raises `Rejected`; None: instances are stored as they come.
    again
        Asked of each instance that is let in; None: what comes again is not compared.
    """

    def __init__(  # noqa: PLR0913  # one fact each
        self,
        *,
        actions: Actions,
        read: Callable[[bytes], Header],
        quarantine: Path,
        instance_bytes: int,
        refusals: Sequence[Refusal],
        deidentify: Callable[[bytes], bytes] | None = None,
        again: Again | None = None,
    ) -> None:
        self._actions = actions
        self._read = read
        self._incoming = quarantine / "incoming"
        self._instance_bytes = instance_bytes
        self._refusals = tuple(refusals)
        self._deidentify = deidentify
        self._again = again
        self._not_stored = (actions.modify, NOT_STORED)

    def __call__(self, dicom: bytes, origin: int) -> Answer:
        """Let an instance in; else keep it in quarantine; else make its sender see a failure."""
        try:
            return self._answer(dicom, origin)
        except BaseException:  # noqa: BLE001  # whatever gets out of here would store the instance unexamined
            return self._not_stored

    def _answer(self, dicom: bytes, origin: int) -> Answer:
        try:
            found = self._examine(dicom)
            if isinstance(found, Header):
                answer = self._let_in(dicom)  # first, for what cannot be de-identified is refused for that reason
                return self._put_aside(dicom, found, origin) or answer
            verdict = found
        except NotDicom:
            return self._not_stored  # as Orthanc itself answers; nothing is lost that could be a study
        except Rejected as error:
            verdict = Verdict(str(error))
        except Exception as error:  # noqa: BLE001  # a file broken in a way that nobody foresaw
            verdict = Verdict(f"it cannot be de-identified ({type(error).__name__})")
        return self._keep_out(verdict, dicom, origin)

    def _put_aside(self, dicom: bytes, header: Header, origin: int) -> Answer | None:
        """Keep what came again with another content from being dropped by Orthanc, or from replacing what it holds."""
        if self._again is None:
            return None
        try:
            aside = self._again.keeps_out(dicom, header, self._actions.origins.get(origin, "UNKNOWN"))
        except OSError as error:
            log.event("changed instance not kept", level=logging.ERROR, step="door", error=type(error).__name__)
            return self._not_stored
        return (self._actions.discard, None) if aside else None

    def _let_in(self, dicom: bytes) -> Answer:
        if self._deidentify is None:
            return (self._actions.keep, None)
        return (self._actions.modify, self._deidentify(dicom))

    def _keep_out(self, verdict: Verdict, dicom: bytes, origin: int) -> Answer:
        try:
            keep_durably(self._incoming, dicom, self._about(verdict, dicom, origin))
        except OSError as error:
            log.event("instance refused and not kept", level=logging.ERROR, step="door", error=type(error).__name__)
            return self._not_stored
        log.event("instance refused", level=logging.WARNING, step="door", bytes=len(dicom))
        return (self._actions.discard, None)

    def _examine(self, dicom: bytes) -> Verdict | Header:
        if len(dicom) > self._instance_bytes:
            return Verdict(f"larger than {self._instance_bytes} bytes")
        try:
            header = self._read(dicom)
        except NotDicom:
            raise
        except Exception as error:  # noqa: BLE001  # pydicom raises many kinds for broken files
            return Verdict(f"its header cannot be read ({type(error).__name__})")
        for refusal in self._refusals:
            if refusal.matches(header):
                return Verdict("refused by a rule", refusal.name)
        return header

    def _about(self, verdict: Verdict, dicom: bytes, origin: int) -> dict[str, Any]:
        return {
            "reason": verdict.reason,
            "rule": verdict.rule,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "bytes": len(dicom),
            "origin": self._actions.origins.get(origin, "UNKNOWN"),
        }


def keep_durably(folder: Path, dicom: bytes, about: Mapping[str, Any]) -> str:
    """Write `<random>.dcm` and `<random>.json` so that both outlive a power cut; answer the random name.

    Raises
    ------
    OSError
        Something could not be written; then neither file is there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = secrets.token_hex(16)
    written = [(folder / f"{name}.dcm", dicom), (folder / f"{name}.json", json.dumps(about).encode())]
    try:
        for path, content in written:
            _write(path, content)
        _sync_folder(folder)
    except OSError:
        for path, _ in written:
            path.unlink(missing_ok=True)
            path.with_suffix(path.suffix + ".part").unlink(missing_ok=True)
        raise
    return name


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(path.suffix + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
