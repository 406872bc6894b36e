"""Ways out: one module or folder for each kind, and the closed table that names them."""

from importlib import import_module

from ..orthanc_rest import Orthanc
from ..settings import Destination
from .base import Destination as DestinationProtocol

# Where the class of each kind stands; loaded at first use, since a kind brings its libraries along.
KINDS = {
    "dicom": ("dicom", "DicomDestination"),
    "dicomweb": ("dicomweb", "DicomwebDestination"),
    "flywheel": ("flywheel", "FlywheelDestination"),
    "folder": ("folder", "FolderDestination"),
    "http": ("http", "HttpDestination"),
    "karnak": ("karnak", "KarnakDestination"),
    "object-store": ("objects", "ObjectStoreDestination"),
    "orthanc-peer": ("orthanc_peer", "OrthancPeerDestination"),
}


def connect(settings: Destination, orthanc: Orthanc) -> DestinationProtocol:
    """Return the destination that the settings describe, not yet spoken to."""
    module, name = KINDS[settings.kind]
    made: DestinationProtocol = getattr(import_module(f".{module}", __package__), name)(settings, orthanc)
    return made
