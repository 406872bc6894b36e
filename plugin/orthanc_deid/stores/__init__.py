"""Object stores: `s3`, `gcs`, `azure`, `sftp`; `fsspec_store` is common to all, `errors` says what failures mean.

`store` is what they can do: destinations write to them, collectors of `collect` take from them.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from ..settings.stores import Store as StoreSettings
from .errors import silence
from .store import ReadableStore, Writing

DEFAULT = Writing()


@contextmanager
def opened(settings: StoreSettings, writing: Writing = DEFAULT) -> Iterator[ReadableStore]:
    """Connect to a store; every connection is closed in the end.

    Raises
    ------
    ConfigurationError
        A secret is missing, or the log-in is refused.
    Retriable
        It is away.
    """
    silence()
    with _connection(settings, writing) as store:
        yield store


def _connection(settings: StoreSettings, writing: Writing) -> AbstractContextManager[ReadableStore]:
    # Each library takes a second to load: those of the others stay away.
    if settings.scheme == "s3":
        from . import s3

        return s3.opened(settings, writing)
    if settings.scheme == "gs":
        from . import gcs

        return gcs.opened(settings, writing)
    if settings.scheme == "az":
        from . import azure

        return azure.opened(settings, writing)
    from . import sftp

    address = urlsplit(settings.url)
    return sftp.opened(settings, writing, address.hostname or "", address.port)
