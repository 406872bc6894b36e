"""A Flywheel site: hierarchy, files, metadata and read-back, all by Flywheel's own SDK."""

from .destination import FlywheelDestination
from .metadata import Added, add_metadata

__all__ = ["Added", "FlywheelDestination", "add_metadata"]
