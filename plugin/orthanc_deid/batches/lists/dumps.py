"""The dumps of `--info`: beside the folder of a series one CSV of one row with what the archive tells of it."""

import csv
import filecmp
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigurationError
from ...formats import atomic
from . import once, spreadsheets

COLUMNS = (
    "StudyDate", "StudyTime", "SeriesDescription", "PatientID", "ProtocolName", "StudyInstanceUID", "PatientName",
    "PatientBirthDate", "SeriesInstanceUID", "DeviceSerialNumber", "Modality", "ImageType", "SeriesNumber",
    "StudyDescription", "AccessionNumber", "SequenceName",
)  # fmt: skip
ONLY_IF_TOLD = "AcquisitionDate"
MAPPER = "mapper.json"
_PATTERNS = ("sub-*/ses-*/*.csv", "sub-*/*.csv")  # the second: series without a date have no session


def cleaned(value: str) -> str:
    """Return a value as PACSIFIER writes it: without blanks and `/`, `'` as `_`."""
    return value.replace(" ", "").replace("'", "_").replace("/", "")


def dump(attributes: Mapping[str, str]) -> str:
    """Return the CSV of one series, by the keywords of its attributes; those that are missing are empty."""
    columns = (*COLUMNS, ONLY_IF_TOLD) if attributes.get(ONLY_IF_TOLD) else COLUMNS
    text = io.StringIO()
    rows = csv.writer(text)  # its lines end with CRLF, as those of PACSIFIER do
    rows.writerow(columns)
    rows.writerow([spreadsheets.protected(cleaned(str(attributes.get(column, "")))) for column in columns])
    return text.getvalue()


def write(folder: Path, attributes: Mapping[str, str]) -> Path:
    """Write the dump of the series in that folder beside it, mode 0600; return where."""
    path = folder.with_name(f"{folder.name}.csv")
    with atomic.file(path) as part:
        part.chmod(0o600)
        part.write_bytes(dump(attributes).encode("utf-8", "replace"))
    return path


@dataclass(frozen=True)
class Moved:
    """What became of the dumps of a folder. The paths, below it, hold ids of patients: for a terminal only."""

    moved: int
    kept: tuple[str, ...]  # not moved, as another file of that name is there


def move(data_folder: Path, info_folder: Path) -> Moved:
    """Move every dump, and `mapper.json`, to the same place below another folder.

    A dump is there as a whole before it goes here. One that was stopped in between is finished the next time.

    Raises
    ------
    ConfigurationError
        A folder is not there, cannot be written, or lies in the way of the other.
    """
    _demand_apart(data_folder, info_folder)
    moved, kept = 0, []
    try:
        for relative in list(_dumps(data_folder)):
            if _move(data_folder / relative, info_folder / relative, info_folder):
                moved += 1
            else:
                kept.append(str(relative))
    except OSError as error:
        raise ConfigurationError(f"a dump cannot be moved ({os.strerror(error.errno or 0)})") from None
    return Moved(moved, tuple(kept))


def _demand_apart(data_folder: Path, info_folder: Path) -> None:
    if not data_folder.is_dir():
        raise ConfigurationError("the data folder is not there")
    data, info = data_folder.resolve(), info_folder.resolve()
    if info == data:
        raise ConfigurationError("the two folders are the same")
    if info.is_relative_to(data) and info.relative_to(data).parts[0].startswith("sub-"):
        raise ConfigurationError("the folder for dumps lies in that of a patient")


def _dumps(folder: Path) -> Iterator[Path]:
    """Yield the dumps, relative; links are left alone, as they may lead to somewhere else."""
    found = [path for pattern in _PATTERNS for path in folder.glob(pattern)]
    for path in (*sorted(found), folder / MAPPER):
        relative = path.relative_to(folder)
        links = any((folder / above).is_symlink() for above in (relative, *relative.parents[:-1]))
        if path.is_file() and not links:
            yield relative


def _move(source: Path, target: Path, root: Path) -> bool:
    """Move one file, also to another disk; False where another file stands there."""
    _make(target.parent, root)
    if not once.put(target, source.read_bytes()) and not filecmp.cmp(source, target, shallow=False):
        return False
    source.unlink()
    return True


def _make(folder: Path, root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for above in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
        (root / above).mkdir(mode=0o700, exist_ok=True)
