"""The archive of a batch: its settings, and how a step speaks to it."""

from .. import pacs
from ..database.batches import Batch
from ..errors import ConfigurationError, Rejected
from ..pacs.base import Archive
from ..pipeline import Job
from ..settings import Archive as ArchiveSettings
from ..settings import Configuration
from ..steps import Resources


def settings_of(configuration: Configuration, batch: Batch) -> ArchiveSettings:
    """Return the settings of a batch's archive; raise Rejected where there is none any more."""
    try:
        settings = configuration.source(batch.source)
    except ConfigurationError:
        raise Rejected("the configuration no longer names this source") from None
    if not isinstance(settings, ArchiveSettings):
        raise Rejected("the source is no longer an archive that can be asked")
    return settings


def connected(job: Job, settings: ArchiveSettings, resources: Resources) -> Archive:
    """Return the archive; what it is waited for ends when the row is no longer to be worked on.

    Not when its batch is paused: half a study would be taken for the whole of it.
    """
    return pacs.connect(settings, resources.orthanc, lambda: resources.batches.demand_current(job.study, job.run))
