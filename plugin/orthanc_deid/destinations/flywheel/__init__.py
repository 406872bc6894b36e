"""A Flywheel site: hierarchy, files, metadata and read-back, all by Flywheel's own SDK."""

from .destination import FlywheelDestination

__all__ = ["FlywheelDestination"]
