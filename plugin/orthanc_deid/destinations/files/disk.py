"""Files of a folder or mounted share: durable, with the modes of the settings, and errors in our words."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import DeidError, Retriable

_PIECE_BYTES = 2**22


def make(folder: Path, root: Path, mode: str) -> None:
    """Make folders below the root, with that mode (octal) whatever the umask."""
    missing = [each for each in (folder, *folder.parents) if each.is_relative_to(root) and not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(int(mode, 8))
        sync(each.parent)


def copy(source: Path, target: Path, mode: str) -> None:
    """Copy a file with that mode (octal); it is on the disk when we return."""
    with source.open("rb") as file, target.open("wb") as out:
        os.fchmod(out.fileno(), int(mode, 8))
        shutil.copyfileobj(file, out, _PIECE_BYTES)
        out.flush()
        os.fsync(out.fileno())


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make the names in a folder and in all below it durable."""
    for path, _, _ in os.walk(folder):
        sync(Path(path))


@contextmanager
def speaking() -> Iterator[None]:
    """Raise errors of ours in place of those that hold a path.

    Raises
    ------
    Retriable
        Not permitted, full, away: a person mends it, and it may succeed later.
    """
    try:
        yield
    except DeidError:
        raise
    except PermissionError:
        raise Retriable("the folder may not be written or read: see the permissions of our account") from None
    except FileNotFoundError:
        raise Retriable("a file or folder went away while it was used") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Retriable("the folder's disk is full") from None
        raise Retriable(f"the folder cannot be used ({type(error).__name__} {error.errno})") from None
