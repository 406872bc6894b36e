"""Takes in what lies somewhere else: watch folders, object stores, other Orthancs; in a process of its own.

`base` is what each kind keeps to; `process` runs one thread for each source. `files` is what `folder` and `prefix`
have in common: it asks a `depot` for files, `taking` offers them to Orthanc, `outcome` says where they belong then.
"""

from importlib import import_module

from ..settings.sources import FolderSource, OrthancSource, PrefixSource
from .base import Collector, Tools

# Where the class of each kind stands; loaded at first use, since a kind brings its libraries along.
KINDS = {
    "folder": ("folder", "WatchFolder"),
    "object-store": ("prefix", "Prefix"),
    "orthanc": ("orthanc_changes", "OrthancChanges"),
}

Collected = FolderSource | PrefixSource | OrthancSource


def connect(settings: Collected, tools: Tools) -> Collector:
    """Return the collector of a source, not yet looked."""
    module, name = KINDS[settings.kind]
    made: Collector = getattr(import_module(f".{module}", __package__), name)(settings, tools)
    return made
