"""What a list names: its lines as they are asked for, and what is to be written beside them at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Key = tuple[tuple[str, str], ...]
UID = "StudyInstanceUID"


@dataclass(frozen=True)
class Entry:
    """One line (or item, from 1) of a list; `cells` is what is asked, by column."""

    line: int
    cells: Mapping[str, str]

    @property
    def key(self) -> Key:
        """By this the same line is found again, wherever it has moved to."""
        return tuple(sorted(self.cells.items()))

    @property
    def uids(self) -> Sequence[str]:
        """The studies that it names; none where it asks by other attributes."""
        return [uid.strip() for uid in self.cells.get(UID, "").split("\\") if uid.strip()]

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"line": self.line, "cells": dict(self.cells)}


@dataclass(frozen=True)
class Mark:
    """What has become of a line: pushed (`reason` is empty), or why not; ISO 8601."""

    at: str
    reason: str = ""

    def values(self) -> dict[str, bool | str]:
        """Return the fields of django-dicom-review that say so."""
        if not self.reason:
            return {"image_published": True, "pub_date": self.at}
        return {"processing_error": True, "processing_error_date": self.at, "processing_error_msg": self.reason}


# What stands against asking for a line again.
ENDED = ("image_published", "processing_error")
COLUMNS = (*ENDED, "pub_date", "processing_error_date", "processing_error_msg")
# By these a CSV is known as reviews.
REVIEWS = frozenset({"has_phi", "relevant", "has_reconstruction", "original_study_uid"})
_NOTHING = frozenset({"", "null", "none", "false", "f", "0", "no"})


def is_set(value: object) -> bool:
    """Tell whether a flag is set; a text that is not understood is."""
    return value is not None and str(value).strip().lower() not in _NOTHING
