"""Every exception of ours, named by what happens next."""


class DeidError(Exception):
    """Base of all. A message holds ids of ours, expected and found: never a DICOM value."""


class ConfigurationError(DeidError):
    """The start stops: a setting, profile or secret is wrong. The message names file, line and field."""


class Rejected(DeidError):
    """A person must look: the study goes to quarantine with this message as its reason."""


class Retriable(DeidError):
    """The same step may succeed later: a peer is down, Orthanc restarts.

    Parameters
    ----------
    after_s
        Seconds that the other side asks us to wait (Retry-After); the next try comes no sooner.
    """

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Postponed(DeidError):
    """Not now, and nobody's failure: a time window has closed, a destination is paused or has its hands full.

    Parameters
    ----------
    after_s
        Seconds after which to look again.
    """

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class Stale(DeidError):
    """The caller works for a run of the study that has been superseded or cancelled; it stops quietly."""


class NotFound(DeidError):
    """Nothing of that id is known."""


class Forbidden(DeidError):
    """The caller's role does not allow it."""


class Conflict(DeidError):
    """The study's state does not allow what was asked."""
