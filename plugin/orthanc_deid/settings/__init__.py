"""Every setting: the environment, and one YAML file whose mistakes are named by file, line and field."""

from .configuration import Configuration, Destination, Intake, Limits, Match, Project, Refusal
from .environment import CHECKOUT, Settings, load, load_file
from .model import read_secret
from .peer import OrthancPeer

__all__ = [
    "CHECKOUT",
    "Configuration",
    "Destination",
    "Intake",
    "Limits",
    "Match",
    "OrthancPeer",
    "Project",
    "Refusal",
    "Settings",
    "load",
    "load_file",
    "read_secret",
]
