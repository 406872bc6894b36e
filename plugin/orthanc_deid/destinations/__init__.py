"""Ways out: one module for each kind, and the closed table that names them."""

from collections.abc import Callable
from typing import Any

from ..orthanc_rest import Orthanc
from ..settings import Destination
from .base import Destination as DestinationProtocol
from .dicom import DicomDestination
from .dicomweb import DicomwebDestination
from .flywheel import FlywheelDestination
from .folder import FolderDestination
from .http import HttpDestination
from .karnak import KarnakDestination
from .objects import ObjectStoreDestination
from .orthanc_peer import OrthancPeerDestination

# Each is called with its own settings and our Orthanc.
KINDS: dict[str, Callable[[Any, Orthanc], DestinationProtocol]] = {
    "dicom": DicomDestination,
    "dicomweb": DicomwebDestination,
    "flywheel": FlywheelDestination,
    "folder": FolderDestination,
    "http": HttpDestination,
    "karnak": KarnakDestination,
    "object-store": ObjectStoreDestination,
    "orthanc-peer": OrthancPeerDestination,
}


def connect(settings: Destination, orthanc: Orthanc) -> DestinationProtocol:
    """Return the destination that the settings describe, not yet spoken to."""
    return KINDS[settings.kind](settings, orthanc)
