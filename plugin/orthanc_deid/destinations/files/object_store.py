"""S3, Google Cloud Storage, Azure Blob Storage, SFTP: each file an object, the manifest last."""

from contextlib import AbstractContextManager

from ... import stores
from ...orthanc_rest import Orthanc
from ...settings.files import ObjectStore
from ...stores.store import Store, Writing
from ..base import Shipment
from .metadata import Fields
from .sending import Sending


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


def _opened(settings: ObjectStore) -> AbstractContextManager[Store]:
    writing = Writing(settings.part_bytes, settings.server_side_encryption, settings.kms_key_id, settings.storage_class)
    return stores.opened(settings, writing)
