"""Ways out: one module for each kind, and the closed table that names them."""

from collections.abc import Callable
from typing import Any

from ..orthanc_rest import Orthanc
from ..settings import Destination
from .base import Destination as DestinationProtocol
from .dicom import DicomDestination
from .folder import FolderDestination
from .http import HttpDestination
from .objects import ObjectStoreDestination
from .flywheel import FlywheelDestination
from .orthanc_peer import OrthancPeerDestination

# Each is called with its own settings and our Orthanc.
KINDS: dict[str, Callable[[Any, Orthanc], DestinationProtocol]] = {
    "dicom": DicomDestination,
    "folder": FolderDestination,
    "http": HttpDestination,
    "object-store": ObjectStoreDestination,
    "flywheel": FlywheelDestination,
    "orthanc-peer": OrthancPeerDestination,
}


def connect(settings: Destination, orthanc: Orthanc) -> DestinationProtocol:
    """Return the destination that the settings describe, not yet spoken to."""
    return KINDS[settings.kind](settings, orthanc)
