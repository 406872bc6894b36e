"""Which entries of a list a run asks for, and the CSV that asks."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .entries import Entry

OTHER_MODALITY = "none of its modalities is among --modalities"
FIRST_LINE = 2  # of the CSV that is sent; before it the header


@dataclass(frozen=True)
class Selection:
    """`chosen` are asked for; `refused` cannot be; `beyond` is how many wait for a later run."""

    chosen: Sequence[Entry]
    refused: Sequence[Entry] = ()
    beyond: int = 0

    @property
    def counted(self) -> bool:
        """Whether each of its studies is named, so that they can be counted before any is found."""
        return all(entry.uids for entry in self.chosen)


def select(entries: Sequence[Entry], most: int, modalities: Sequence[str]) -> Selection:
    """Take the first studies of a list, at most so many; where it asks by other attributes the archive counts."""
    asked: list[Entry] = []
    refused: list[Entry] = []
    for entry in entries:
        (refused if _modalities(entry, modalities) is None else asked).append(entry)
    if not all(entry.uids for entry in asked):
        return Selection(asked, refused)
    chosen: list[Entry] = []
    count = 0
    for entry in asked:
        if count + len(entry.uids) > most and chosen:
            break
        chosen.append(entry)
        count += len(entry.uids)
    return Selection(chosen, refused, len(asked) - len(chosen))


def query(chosen: Sequence[Entry], modalities: Sequence[str]) -> str:
    """Write what is asked as CSV: a line for each entry, in their order, limited to the modalities."""
    rows = [dict(entry.cells) for entry in chosen]
    for row, entry in zip(rows, chosen, strict=True):
        wanted = _modalities(entry, modalities)
        if wanted:
            row["Modality"] = "\\".join(wanted)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _modalities(entry: Entry, allowed: Sequence[str]) -> Sequence[str] | None:
    """Return those that are to be asked for, of an entry's own those that are allowed; None: there is none left."""
    own = [each.strip().upper() for each in re.split(r"[\\,]", entry.cells.get("Modality", "")) if each.strip()]
    if not own or not allowed:
        return own or allowed
    return [each for each in own if each in allowed] or None
