"""The columns of a list: their names here and in other tools, their level, and what a cell of them may hold."""

import difflib
import re
from dataclasses import dataclass

from ...pacs.base import Level
from . import values

LEVELS: tuple[Level, ...] = ("study", "series", "instance")  # from the top
_IGNORED = re.compile(r"[\s_\ufeff\u200b]+")
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str  # keyword of the attribute, or a name of ours
    level: Level | None  # the least level of a line that uses it; None: it is not asked for
    limit: int  # characters of a cell; 0: its rule says how many
    rule: values.Rule
    holds: str  # for people
    aliases: tuple[str, ...] = ()  # in other tools

    def value(self, written: str, latest: str, *, plain: bool = False) -> str:
        """Return what is asked for; `plain`: the whole line is, by `values.is_plain`.

        Raises
        ------
        ValueError
            What is wrong with the cell and how to mend it, without its value.
        """
        if not plain:
            values.demand_readable(written)
            if self.rule not in _SEVERAL:
                values.demand_one(written)
        if self.limit and len(written) > self.limit:
            raise ValueError(f"is longer than {self.limit} characters")
        values.demand_narrow(written)
        return self.rule(written, latest)


# Rules whose values may be several, with a backslash between them; they look at each.
_SEVERAL = (values.uids, values.modalities, values.image_type)

COLUMNS: tuple[Column, ...] = (
    Column("PatientID", "study", 64, values.identifier, "text, wildcards"),
    Column("PatientName", "study", 64, values.person, "`First Last`, `Last, First` or `LAST^FIRST*`"),
    Column("PatientBirthDate", "study", 0, values.day, "`YYYYMMDD`"),
    Column("AccessionNumber", "study", 16, values.identifier, "text, wildcards", ("Accession", "accession_no")),
    Column("StudyInstanceUID", "study", 0, values.uids, "UID; several: `\\`", ("StudyUID", "study_iuid")),
    Column("StudyDate", "study", 0, values.days, "`YYYYMMDD` or a range"),
    Column("From", "study", 0, values.day, "`YYYYMMDD`: StudyDate, this day or later"),
    Column("Until", "study", 0, values.day, "`YYYYMMDD`: StudyDate, this day or earlier"),
    Column("StudyTime", "study", 0, values.times, "`HHMMSS` or a range"),
    Column("StudyDescription", "study", 64, values.text, "text, wildcards"),
    Column("Modality", "study", 0, values.modalities, "capitals; several: `\\`", ("ModalitiesInStudy", "Modalities")),
    Column("SeriesInstanceUID", "series", 0, values.uids, "UID; several: `\\`", ("SeriesUID",)),
    Column("SeriesNumber", "series", 12, values.whole, "whole number"),
    Column("SeriesDescription", "series", 64, values.text, "text, wildcards"),
    Column("ProtocolName", "series", 64, values.text, "text, wildcards"),
    Column("DeviceSerialNumber", "series", 64, values.identifier, "text, wildcards"),
    Column("SequenceName", "series", 64, values.text, "text, wildcards"),
    Column("ImageType", "instance", 64, values.image_type, "text, wildcards; values in order: `\\`; slow"),
    Column("AcquisitionDate", "instance", 0, values.day, "`YYYYMMDD`; slow"),
    Column("Project", None, 0, values.project, "name of a project of the configuration"),
    Column("Pseudonym", None, 64, values.pseudonym, "PatientID of the output", ("new_ids", "new_id")),
    Column("Album", None, 64, values.text, "Kheops album", ("album_name",)),
)
BY_NAME = {column.name: column for column in COLUMNS}

# Names of other tools that cannot be taken as they are, and what to do.
NOT_TAKEN = {
    "empi": "is no attribute of DICOM: name it PatientID if the archive knows its patients by that number",
}


def reduced(name: str) -> str:
    """Return a name of a column without case, blanks and underscores."""
    return _IGNORED.sub("", name).casefold()


_KNOWN = {reduced(alias): column for column in COLUMNS for alias in (column.name, *column.aliases)}


def known(name: str) -> Column | None:
    """Return the column of that name; None where there is none."""
    return _KNOWN.get(reduced(name))


def nearest(name: str, cutoff: float = 0.6) -> str:
    """Return the name of ours that is most like it; empty where none is."""
    close = difflib.get_close_matches(reduced(name[:_LONGEST_NAME]), _KNOWN, n=1, cutoff=cutoff)
    return _KNOWN[close[0]].name if close else ""
