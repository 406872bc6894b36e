"""Every setting: the environment, and one YAML file whose mistakes are named by file, line and field."""

from .configuration import Configuration, Destination, Intake, Limits, Match, Project, Refusal
from .environment import CHECKOUT, FREE_BYTES, Settings, load, load_file
from .files import Folder, ObjectStore
from .flywheel import Flywheel
from .http import Http
from .model import read_secret
from .network import Dicom, Dicomweb, Karnak
from .peer import OrthancPeer

__all__ = [
    "CHECKOUT",
    "FREE_BYTES",
    "Configuration",
    "Destination",
    "Dicom",
    "Dicomweb",
    "Flywheel",
    "Folder",
    "Http",
    "Intake",
    "Karnak",
    "Limits",
    "Match",
    "ObjectStore",
    "OrthancPeer",
    "Project",
    "Refusal",
    "Settings",
    "load",
    "load_file",
    "read_secret",
]
