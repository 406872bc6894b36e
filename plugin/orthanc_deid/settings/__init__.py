"""Every setting: the environment, and one YAML file whose mistakes are named by file, line and field."""

from .completeness import Completeness, Sender
from .configuration import Configuration, Destination, Intake, Limits, Project, Refusal
from .environment import CHECKOUT, FREE_BYTES, Settings, load, load_file
from .files import Folder, ObjectStore
from .flywheel import Flywheel
from .http import Http
from .match import Match
from .model import read_secret
from .network import Dicom, Dicomweb, Karnak
from .peer import OrthancNode, OrthancPeer
from .sources import AnySource, Archive, DicomwebSource, FolderSource, OrthancSource, PacsSource, PrefixSource

__all__ = [
    "CHECKOUT",
    "FREE_BYTES",
    "AnySource",
    "Archive",
    "Completeness",
    "Configuration",
    "Destination",
    "Dicom",
    "Dicomweb",
    "DicomwebSource",
    "Flywheel",
    "Folder",
    "FolderSource",
    "Http",
    "Intake",
    "Karnak",
    "Limits",
    "Match",
    "ObjectStore",
    "OrthancNode",
    "OrthancPeer",
    "OrthancSource",
    "PacsSource",
    "PrefixSource",
    "Project",
    "Refusal",
    "Sender",
    "Settings",
    "load",
    "load_file",
    "read_secret",
]
