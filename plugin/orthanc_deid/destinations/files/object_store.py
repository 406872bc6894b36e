"""S3, Google Cloud Storage, Azure Blob Storage, SFTP: each file an object, the manifest last."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from ...orthanc_rest import Orthanc
from ...settings.files import ObjectStore
from ..base import Shipment
from .metadata import Fields
from .sending import Sending
from .store import Store
from .stores.errors import silence


class ObjectStoreDestination:
    """A bucket, container or folder of a server; it is connected to for each call alone."""

    def __init__(self, settings: ObjectStore, orthanc: Orthanc) -> None:  # noqa: ARG002  # every kind is made alike
        self._settings = settings

    def check(self) -> str:
        """Log in, and write and delete a small object."""
        with _opened(self._settings) as store:
            return store.describe()

    def send(self, shipment: Shipment) -> None:
        """Send what is not there, then the manifest."""
        fields = Fields(self._settings.metadata_templates(), shipment)
        with _opened(self._settings) as store:
            Sending(shipment, self._settings, store).send(fields.of)

    def confirm(self, shipment: Shipment) -> int:
        """Ask for each object.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
        with _opened(self._settings) as store:
            return Sending(shipment, self._settings, store).confirm()


@contextmanager
def _opened(settings: ObjectStore) -> Iterator[Store]:
    silence()
    with _connection(settings) as store:
        yield store


def _connection(settings: ObjectStore) -> AbstractContextManager[Store]:
    # Each library takes a second to load: those of the others stay away.
    if settings.scheme == "s3":
        from .stores import s3

        return s3.opened(settings)
    if settings.scheme == "gs":
        from .stores import gcs

        return gcs.opened(settings)
    if settings.scheme == "az":
        from .stores import azure

        return azure.opened(settings)
    from .stores import sftp

    address = urlsplit(settings.url)
    return sftp.opened(settings, address.hostname or "", address.port)
