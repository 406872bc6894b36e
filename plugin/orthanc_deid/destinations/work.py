"""The private folder of a shipment: what cannot be written there is told in our words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import NotFound, Retriable


@contextmanager
def local_disk() -> Iterator[None]:
    """Say of our own disk that it is full, in place of an error that would hold a path.

    Raises
    ------
    Retriable
        It cannot be written, or what was to be fetched has left Orthanc.
    """
    try:
        yield
    except NotFound:
        raise Retriable("an instance left Orthanc while it was sent") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Retriable("the disk of our temporary folder is full") from None
        raise Retriable(f"our temporary folder cannot be used ({type(error).__name__})") from None
