"""De-identification that stands inside Orthanc."""

__version__ = "0.1.0"
