"""Ways out: the closed table of kinds. `base` is what each keeps to; `dicom`, `files`, `http`, `flywheel` hold them."""

from importlib import import_module

from ..orthanc_rest import Orthanc
from ..settings import Destination
from .base import Destination as DestinationProtocol

# Where the class of each kind stands; loaded at first use, since a kind brings its libraries along.
KINDS = {
    "dicom": ("dicom.dicom", "DicomDestination"),
    "dicomweb": ("dicom.dicomweb", "DicomwebDestination"),
    "flywheel": ("flywheel.destination", "FlywheelDestination"),
    "folder": ("files.folder", "FolderDestination"),
    "http": ("http.destination", "HttpDestination"),
    "karnak": ("dicom.karnak", "KarnakDestination"),
    "object-store": ("files.object_store", "ObjectStoreDestination"),
    "orthanc-peer": ("dicom.orthanc_peer", "OrthancPeerDestination"),
}


def connect(settings: Destination, orthanc: Orthanc) -> DestinationProtocol:
    """Return the destination that the settings describe, not yet spoken to."""
    module, name = KINDS[settings.kind]
    made: DestinationProtocol = getattr(import_module(f".{module}", __package__), name)(settings, orthanc)
    return made
