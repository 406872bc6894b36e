"""Speaks to a source without taking anything."""

from ..orthanc_rest import Orthanc, peer_address
from ..pacs import connect
from ..settings.sources import AnySource, Archive, FolderSource, OrthancSource


def check(settings: AnySource, orthanc: Orthanc) -> str:
    """Answer what the source is and that the log-in works.

    Raises
    ------
    DeidError
        What is wrong, without any path or name of a file.
    """
    if isinstance(settings, Archive):
        return connect(settings, orthanc).check()
    if isinstance(settings, OrthancSource):
        version = Orthanc(peer_address(settings, "the other Orthanc")).system().get("Version", "?")
        return f"Orthanc {version}"
    # Each brings libraries along.
    if isinstance(settings, FolderSource):
        from . import folder

        return folder.check(settings)
    from . import prefix

    return prefix.check(settings)
