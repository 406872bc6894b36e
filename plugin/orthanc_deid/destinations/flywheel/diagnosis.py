"""The project of a study by the diagnosis nearest to it in time."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import ConfigurationError, Rejected
from ...settings.flywheel import Diagnoses

NOT_KNOWN = ("Not Reported", "Other")
LAST_RESORT = "Supratentorial or Spinal Cord PNET"
Row = tuple[str, float | None]  # diagnosis, age of the patient in days


def diagnosis_project(
    rows: Sequence[Row], age_days: float | None, mapping: Mapping[str, str], suffix: str = "", missing: str = "Other"
) -> str:
    """Return the project of a patient with these diagnoses at that age.

    Rows that tell nothing are left out, and the one diagnosis that is a last resort where there is another. Of several
    the nearest in time counts, the first in the table of two that are equally near.

    Raises
    ------
    Rejected
        The nearest cannot be told, or the mapping does not know it. No message names a diagnosis.
    """
    told = [row for row in rows if row[0] not in NOT_KNOWN]
    told = [row for row in told if row[0] != LAST_RESORT] or told
    kinds = {row[0] for row in told}
    if len(kinds) > 1:
        dated = [row for row in told if row[1] is not None]
        if age_days is None or not dated:
            raise Rejected("the patient has several diagnoses, and no age tells which of them is meant")
        told = [min(dated, key=lambda row: abs((row[1] or 0.0) - age_days))]
    diagnosis = told[0][0] if told else missing
    if diagnosis not in mapping:
        raise Rejected("the mapping of diagnoses does not know the patient's: add it to the file that `mapping` names")
    return mapping[diagnosis] + suffix


def project_of(settings: Diagnoses, PatientID: str, age_days: float | None) -> str:
    """Read table and mapping anew, so that both can be edited while we run; `PatientID` is the pseudonym."""
    rows = _rows(settings, PatientID)
    return diagnosis_project(rows, age_days, _mapping(settings.mapping), settings.suffix, settings.missing)


def _rows(settings: Diagnoses, PatientID: str) -> list[Row]:
    try:
        with settings.table.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = (settings.key, settings.diagnosis, settings.age)
            if set(columns) - set(table.fieldnames or ()):
                raise ConfigurationError(f"the table of diagnoses needs the columns {', '.join(columns)}")
            return [
                ((row[settings.diagnosis] or "").strip(), _number(row[settings.age] or ""))
                for row in table
                if (row[settings.key] or "").strip() == PatientID and (row[settings.diagnosis] or "").strip()
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"the table of diagnoses cannot be read ({type(error).__name__})") from None


def _mapping(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the mapping of diagnoses cannot be read ({type(error).__name__})") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) and value for value in found.values()):
        raise ConfigurationError("the mapping of diagnoses is one JSON object: a project for each diagnosis")
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
