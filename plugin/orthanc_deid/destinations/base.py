"""The protocol of a destination, and what one is given to send."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..formats.labels import Labels, none_given
from ..orthanc_rest import Orthanc


@dataclass(frozen=True)
class Converted:
    """What a conversion made of one series; only names and values of the de-identified series."""

    series: str  # Orthanc id of the de-identified series
    files: tuple[Path, ...]  # in one folder, named by us
    remarks: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()  # of pictures: the Orthanc id of the instance of each file


class Results(Protocol):
    """Conversions of the output study: made when first asked for, kept until retention removes them."""

    def nifti(self) -> Sequence[Converted]:
        """Return one entry for each series that can be converted: `*.nii.gz`, `*.json`, `*.bval`, `*.bvec`."""

    def pictures(self, kind: str) -> Sequence[Converted]:
        """Return one entry for each series that can be drawn; `kind` is png or jpeg, a file for each instance."""

    def bids(self) -> Path:
        """Return a folder with the BIDS tree of this study alone: `sub-*/ses-*/...`, `participants.tsv`, ..."""

    def etl(self) -> Path:
        """Return a folder with the tree of image-deid-etl of this study alone: `{program}/{site}/NIfTIs/...`."""

    def dicomdir(self) -> Path:
        """Return a folder with DICOMDIR and its files."""

    @property
    def refused(self) -> Mapping[str, int]:
        """Why series were not converted, and how many, in the last call."""


@dataclass(frozen=True)
class Receipt:
    """What is remembered of one thing that has arrived."""

    size: int  # bytes
    sha256: str  # of what was sent, hexadecimal
    remote: str = ""  # the destination's own id or version, at most 200 characters; never an identity


class Journal(Protocol):
    """What has arrived at this destination of this study: durable, so that a partial send is finished."""

    def get(self, key: str) -> Receipt | None:
        """Return what is known of a thing; the key is stored as a hash only."""

    def put(self, key: str, receipt: Receipt) -> None:
        """Remember that it has arrived."""


class Pace(Protocol):
    """Asked between two pieces."""

    def sent(self, count: int) -> None:
        """Say that so many bytes went out; waits where the destination's bandwidth is bounded.

        Raises
        ------
        Postponed
            Its time window has closed, it was paused, or the run was cancelled: what is sent is kept, the rest later.
        """


@dataclass(frozen=True)
class Shipment:
    """De-identified and verified instances of one output study, by Orthanc id."""

    study: int  # our own number, for logs
    version: int  # of the study
    project: str
    output: str  # Orthanc id of the output study
    new: Sequence[str]  # instances that this destination has not confirmed yet
    all: Sequence[str]  # instances that are to be there in the end
    orthanc: Orthanc  # where the outputs are
    results: Results
    journal: Journal
    pace: Pace
    work: Path  # a private folder for temporary files, removed afterwards
    seconds: float  # that sending may take
    album: str = ""  # that a list named for the study; empty: as the settings say
    # How subject and session are called, by what `facts` answers; de-identified, as pseudonyms are.
    labels: Callable[[Mapping[str, Any]], Labels] = none_given
    remarks: list[str] = field(default_factory=list)  # what a person is to know of a send that succeeded; no values

    def facts(self) -> Mapping[str, Any]:
        """Return Orthanc's answer on the output study: MainDicomTags, PatientMainDicomTags, Series."""
        return self.orthanc.study(self.output)


class Destination(Protocol):
    """A place where studies go.

    Every method raises Retriable when it is away or overloaded (`after_s` where it says how long), Rejected when it
    refuses, ConfigurationError where a secret is missing. No message holds a value, path or URL of a study.
    """

    def check(self) -> str:
        """Speak to it without sending anything; answer what it is, and prove that the log-in works."""

    def send(self, shipment: Shipment) -> None:
        """Send what is new and has not arrived; a second time changes nothing there."""

    def confirm(self, shipment: Shipment) -> int:
        """Read back; answer how many of all instances are there.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
