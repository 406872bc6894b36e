"""Where the pseudonyms of a project come from."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .model import Model
from .pseudonym_file import FilePseudonyms
from .pseudonym_http import HttpPseudonyms
from .pseudonym_tag import TagPseudonyms

LEAST_CODE, MOST_CODE = 6, 16  # characters of base 32; the crosswalk tells where two patients would share one
LEAST_ON_ARRIVAL = 12  # 60 bits: of a million patients two share one with a probability of 1 in 2 million
_FIELD = re.compile(r"\{([a-z]+)(?::([0-9]+))?\}")
_LONGEST = 64  # characters of PatientID, VR LO


class DerivedPseudonyms(Model):
    """Made of the project's key: the same for the same patient on every machine that has the key."""

    kind: Literal["derived"] = Field(default="derived", description="where pseudonyms come from")
    format: str = Field(
        default="P{code:16}",
        description="template with {code:N}, N from 6 to 16 characters of A-Z and 2-7, and {project}",
    )

    @property
    def code(self) -> int:
        """How many characters of the key's code each pseudonym has."""
        return next(int(length or MOST_CODE) for name, length in _FIELD.findall(self.format) if name == "code")

    @field_validator("format")
    @classmethod
    def _has_code(cls, value: str) -> str:
        lengths = [int(n or MOST_CODE) for name, n in _fields(value, ("code", "project")) if name == "code"]
        if len(lengths) != 1 or not LEAST_CODE <= lengths[0] <= MOST_CODE:
            raise ValueError(f"it needs one {{code:N}}, N from {LEAST_CODE} to {MOST_CODE}")
        return value


class SequencePseudonyms(Model):
    """Counted in the order in which patients come."""

    kind: Literal["sequence"] = Field(description="where pseudonyms come from")
    format: str = Field(default="P{number:4}", description="template with {number:N}, at least N digits, and {project}")

    @field_validator("format")
    @classmethod
    def _has_number(cls, value: str) -> str:
        if [name for name, _ in _fields(value, ("number", "project"))].count("number") != 1:
            raise ValueError("it needs one {number:N}, N the least number of digits")
        return value

    def text(self, number: int | str, project: str) -> str:
        """Return the pseudonym of a number."""
        return _FIELD.sub(
            lambda m: project if m[1] == "project" else str(number).rjust(int(m[2] or 1), "0"), self.format
        )


def _fields(template: str, known: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return name and length of each field; refuse what a PatientID cannot hold."""
    rest = _FIELD.sub("", template)
    if not re.fullmatch(r"[A-Za-z0-9 ._-]*", rest) or len(rest) > _LONGEST - MOST_CODE:
        raise ValueError("letters, digits, blank, . _ - and fields in braces only")
    found = [(m[1], m[2] or "") for m in _FIELD.finditer(template)]
    wrong = [name for name, _ in found if name not in known]
    if wrong:
        raise ValueError(f"there is no field {{{wrong[0]}}} (is: {', '.join(known)})")
    return found


# The next kind is one more member.
AnyPseudonyms = Annotated[
    DerivedPseudonyms | SequencePseudonyms | HttpPseudonyms | FilePseudonyms | TagPseudonyms,
    Field(discriminator="kind"),
]
