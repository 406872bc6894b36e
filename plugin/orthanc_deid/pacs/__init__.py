"""Archives that are asked for studies: `base` is what each keeps to; a closed table of kinds."""

from collections.abc import Callable
from importlib import import_module

from ..orthanc_rest import Orthanc
from ..settings.sources import Archive as ArchiveSettings
from .base import Archive

# Where the class of each kind stands; loaded at first use, since a kind brings its libraries along.
KINDS = {
    "pacs": ("dicom", "PacsArchive"),
    "dicomweb": ("dicomweb", "DicomwebArchive"),
}


def _go_on() -> None:
    """Let it be waited to the end."""


def connect(settings: ArchiveSettings, orthanc: Orthanc, going: Callable[[], object] = _go_on) -> Archive:
    """Return the archive that the settings describe, not yet spoken to.

    `going` is called at least every half second while something is waited for: what it raises (Postponed, Stale)
    ends the waiting, cancels what our Orthanc does for it, and comes out of the method.
    """
    module, name = KINDS[settings.kind]  # type: ignore[attr-defined]  # each kind has it
    made: Archive = getattr(import_module(f".{module}", __package__), name)(settings, orthanc, going)
    return made
