"""What an archive is to the rest: asked for studies and series, asked to send them; the kinds keep to this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Level = Literal["study", "series", "instance"]


@dataclass(frozen=True)
class Wanted:
    """A question: matching values by keyword, in the syntax of C-FIND (PS3.4 C.2.2.2); an absent keyword: any."""

    level: Level
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """One study, or one series of it, as the archive tells it; `attributes` holds all that it answered, by keyword."""

    study_uid: str
    series_uid: str = ""  # empty: the whole study
    patient_id: str = ""
    series: int | None = None  # NumberOfStudyRelatedSeries; None: not told
    instances: int | None = None  # NumberOfStudyRelatedInstances or NumberOfSeriesRelatedInstances; None: not told
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One instance in the archive."""

    study_uid: str
    series_uid: str
    sop_uid: str


class Archive(Protocol):
    """A PACS or a DICOMweb server; used by one thread.

    Every method raises Retriable where it is away, Rejected where it refuses for good, ConfigurationError where a
    setting must be changed first, and what `going` raises that was given to `connect`. Messages hold counts and status
    codes, never a value of a query or an answer.
    """

    def check(self) -> str:
        """Speak to it without asking for anything; answer what it does."""

    def find(self, wanted: Wanted) -> list[Found]:
        """Return the studies (level study), or the series with their studies (level series and instance), that match.

        Keys that the archive does not match by are compared here, so that nothing is returned that does not match;
        Rejected where it tells of an attribute in none of its answers, and for a question for the whole archive.
        """

    def series(self, study_uid: str) -> list[Found]:
        """Return every series of a study, with what `--info` tells of it."""

    def instances(self, study_uid: str, series_uid: str = "") -> list[Instance] | None:
        """Return every instance of a study or series; None where it does not answer at that level."""

    def count(self, study_uid: str) -> int | None:
        """Return NumberOfStudyRelatedInstances, or else what `instances` counts.

        None where it tells neither, and where it does not hold the study: nobody may take that for complete.
        """

    def retrieve(self, found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:
        """Have it send a study or series, or only these instances, to this Orthanc or to the AE title `target`.

        Returns when it says that it has sent: this is no proof that anything has arrived.
        """
