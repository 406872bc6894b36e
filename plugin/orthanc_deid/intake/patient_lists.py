"""Lists of patients by which projects take studies: files that people replace while the service runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..batches.lists import sheet
from ..batches.lists.columns import reduced
from ..confidentiality.pseudonyms import normal
from ..errors import Conflict

BYTES = 64 * 2**20
PATIENT, ISSUERS = "patientid", ("issuerofpatientid", "issuer")
WAITS = "the list of patients "  # begins the reason of a study that waits for one


class Undecided(Conflict):
    """Nobody can tell now whose a study is: it waits."""


@dataclass(frozen=True, repr=False)
class Patients:
    """What a file says; `with_issuer`: a patient is told by number and issuer, an empty one included."""

    known: frozenset[tuple[str, str]]
    with_issuer: bool


@dataclass(frozen=True)
class _Read:
    stamp: tuple[int, ...]
    patients: Patients | None
    fault: str = ""


@dataclass
class PatientLists:
    """Every list that was asked for, read again when its file has changed; a relative path begins at `folder`."""

    folder: Path = Path()
    _read: dict[Path, _Read] = field(default_factory=dict, repr=False)
    _refused: dict[Path, str] = field(default_factory=dict, repr=False)
    _is_new: bool = True

    def holds(self, file: Path, patient_id: str, issuer: Callable[[], str]) -> bool:
        """Tell whether a patient is listed; `issuer` is asked for only where the list tells issuers.

        Raises
        ------
        Undecided
            The file is missing, or not a list; the message names the file without its folder.
        """
        found = self._look(file)
        if found.patients is None:
            self._refused[file] = found.fault
            raise Undecided(f"{WAITS}{file.name} {found.fault}")
        patients = found.patients
        key = (normal(patient_id), normal(issuer()) if patients.with_issuer else "")
        return bool(key[0]) and key in patients.known

    def mended(self) -> bool:
        """Tell whether a list can be read that could not before; the first answer is yes, for earlier processes."""
        mended = [file for file in [*self._refused] if self._look(file).patients is not None]
        for file in mended:
            del self._refused[file]
        is_new, self._is_new = self._is_new, False
        return is_new or bool(mended)

    def _look(self, file: Path) -> _Read:
        path = self.folder / file
        try:
            stamp = _stamp(path)
            before = self._read.get(file)
            if before is None or before.stamp != stamp:
                self._read[file] = _Read(stamp, parse(_bytes(path)))
        except OSError as error:
            return _Read((), None, f"cannot be read ({type(error).__name__})")
        except ValueError as error:
            self._read[file] = _Read(stamp, None, str(error))
        return self._read[file]


def parse(content: bytes) -> Patients:
    """Read a list: a number each line, or CSV whose header names PatientID and perhaps IssuerOfPatientID.

    Raises
    ------
    ValueError
        What is wrong with it, by line, without what stands there.
    """
    rows = list(sheet.rows(sheet.text_of(content)))
    for row in rows:
        if row.fault():
            raise ValueError(f"line {row.number} {row.fault()}")
    declared = sheet.declared(rows[0].text) if rows else ""
    rows = rows[1:] if declared else rows
    if not rows:
        raise ValueError("is empty")
    delimiter = declared or sheet.delimiter(rows[0].text, lambda name: reduced(name) in (PATIENT, *ISSUERS))
    lines = [(row.number, _cells(row, delimiter)) for row in rows]
    header = [reduced(name) for name in lines[0][1]]
    if PATIENT not in header:
        return _listed(lines, 0, None, 1)
    if len(lines) == 1:
        raise ValueError("is empty")
    issuer = next((header.index(name) for name in ISSUERS if name in header), None)
    return _listed(lines[1:], header.index(PATIENT), issuer, len(header))


def _listed(lines: list[tuple[int, list[str]]], patient: int, issuer: int | None, width: int) -> Patients:
    known = set()
    for number, cells in lines:
        if len(cells) != width:
            told = "give several columns a header: PatientID, IssuerOfPatientID" if width == 1 else "as its header"
            raise ValueError(f"line {number} has {len(cells)} columns, not {width}: {told}")
        if not cells[patient]:
            raise ValueError(f"line {number} has no PatientID")
        known.add((normal(cells[patient]), "" if issuer is None else normal(cells[issuer])))
    return Patients(frozenset(known), issuer is not None)


def _cells(row: sheet.Row, delimiter: str) -> list[str]:
    try:
        return sheet.cells(row.text, delimiter)
    except ValueError as error:
        raise ValueError(f"line {row.number}: {error}") from None


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(BYTES + 1)
    if len(content) > BYTES:
        raise ValueError(f"is larger than {BYTES} bytes")
    return content
