"""Every exception of ours, named by what happens next."""


class DeidError(Exception):
    """Base of all. A message holds ids of ours, expected and found: never a DICOM value."""


class ConfigurationError(DeidError):
    """The start stops: a setting, profile or secret is wrong. The message names file, line and field."""


class Rejected(DeidError):
    """A person must look: the study goes to quarantine with this message as its reason."""


class Retriable(DeidError):
    """The same step may succeed later: a peer is down, Orthanc restarts."""


class Stale(DeidError):
    """The caller works for a run of the study that has been superseded or cancelled; it stops quietly."""


class NotFound(DeidError):
    """Nothing of that id is known."""


class Conflict(DeidError):
    """The study's state does not allow what was asked."""
