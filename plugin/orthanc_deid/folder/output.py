"""Writes outputs so that a file under its final name is always whole: a temporary one, synced, then renamed."""

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import ConfigurationError, Rejected

UNFINISHED = ".orthanc-deid"  # folder in OUT for files that are being written; not there after the end
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_FOLDER = re.compile(r"[A-Za-z0-9_~%-][A-Za-z0-9_.~%-]*")  # of a patient
_LONGEST = 255  # bytes of a name in a file system


def path_of(patient_id: str, study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Answer where in OUT an instance lies; every part is a new id.

    What a folder cannot be called stands in it as in a web address: `P 1` as P%201.

    Raises
    ------
    Rejected
        One of them could lead somewhere else (a UID of the source that the profile retains).
    """
    if not all(_UID.fullmatch(uid) for uid in (study_uid, series_uid, sop_uid)):
        raise Rejected("one of its UIDs is not valid (PS3.5 9.1)")
    folder = quote(patient_id, safe="")
    folder = f"%2E{folder[1:]}" if folder.startswith(".") else folder
    if not _FOLDER.fullmatch(folder) or len(folder) > _LONGEST:
        raise Rejected("no folder can be called like the pseudonym")
    return f"{folder}/{study_uid}/{series_uid}/{sop_uid}.dcm"


def pseudonym_of(folder: str) -> str:
    """Answer whose folder in OUT one is."""
    return unquote(folder)


def write(out: Path, relative: str, data: bytes) -> None:
    """Write one file, mode 0600, in folders of mode 0700.

    Raises
    ------
    ConfigurationError
        The disk is full, or OUT cannot be written.
    """
    part = out / UNFINISHED / secrets.token_hex(16)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _folders(out, Path(relative).parent)
        part.rename(out / relative)
    except OSError as error:
        raise _unwritable(error) from None


def sync(folders: set[Path]) -> None:
    """Make new names outlive a power cut; raises ConfigurationError as `write` does."""
    for folder in folders:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unwritable(error) from None


def holds(out: Path) -> bool:
    """Tell whether OUT holds anything; unfinished files do not count.

    Raises
    ------
    ConfigurationError
        It holds something that cannot be of this program.
    """
    entries = [path for path in out.iterdir() if path.name != UNFINISHED] if out.exists() else []
    if not all(_FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink() for path in entries):
        raise ConfigurationError("OUT holds something that this command did not write: choose an empty folder")
    return bool(entries)


def is_there(out: Path, relative: str, size: int, sha256: str) -> bool:
    """Compare a file with what was written at that time."""
    try:
        if (out / relative).lstat().st_size != size:
            return False
        with (out / relative).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def begin(out: Path) -> None:
    """Make OUT and the folder for unfinished files; what an ended run left in it goes."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        end(out)
        (out / UNFINISHED).mkdir(mode=0o700)
    except OSError as error:
        raise _unwritable(error) from None


def end(out: Path) -> None:
    """Remove unfinished files."""
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)


def remove(out: Path, relative: str) -> None:
    """Remove an output that has no source any more, and folders that are empty then."""
    (out / relative).unlink(missing_ok=True)
    for folder in list(Path(relative).parents)[:-1]:
        try:
            (out / folder).rmdir()
        except OSError:
            return


def _unwritable(error: OSError) -> ConfigurationError:
    return ConfigurationError(f"OUT cannot be written ({os.strerror(error.errno or 0)})")


def _folders(out: Path, below: Path) -> None:
    for folder in (*reversed(below.parents[:-1]), below):
        (out / folder).mkdir(mode=0o700, exist_ok=True)
