"""One row of what is imported, and what a reader has to tell besides: places in the file, never a value."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["patient", "study", "series", "instance", "accession"]


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """A patient with his pseudonym, or a value of one of his studies with what it became; `place`: for a person."""

    place: str
    patient_id: str
    pseudonym: str
    kind: Kind = "patient"
    original: str = ""  # of a value
    replaced: str = ""
    issuer: str = ""
    offset_days: int | None = None


@dataclass(repr=False)
class Told:
    """What a reader found and did not hand over: contradictions by place, and counts of what is no mapping."""

    conflicts: list[tuple[str, str]] = field(default_factory=list)  # place, reason
    passed_over: Counter[str] = field(default_factory=Counter)  # by reason
