"""What a BIDS dataset has beside its images: description, participants, README, .bidsignore."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from . import atomic, tables
from .bids_rules import BidsRules

BIDS_VERSION = "1.10.0"
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "participant_id": {"Description": "pseudonym of the participant"},
    "age": {"Description": "age at the first imaging; 89 stands for 89 and above", "Units": "year"},
    "sex": {"Description": "sex", "Levels": {"F": "female", "M": "male", "O": "other"}},
}
_README = """\
De-identified images, laid out by rules on what the scanner wrote. Nothing was changed by hand.

- `sourcedata/series.tsv` tells which file was made by which rule; series are named by a hash.
- `sourcedata/unmatched.tsv` lists series that have no place in this tree, with the reason.
- BIDS has no place for some kinds of images, CT among them: they are below `sourcedata/`.
"""


def write(out: Path, rules: BidsRules, participants: Sequence[Mapping[str, str]]) -> None:
    """Write the files of the dataset itself."""
    description = {
        "Name": rules.dataset,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "Orthanc De-ID", "Version": __version__}],
    }
    _json(out / "dataset_description.json", description)
    atomic.write(out / "README", _README.encode())
    ignore = "".join(f"{line}\n" for line in ("# what is not BIDS", *rules.ignore))
    atomic.write(out / ".bidsignore", ignore.encode())
    columns = ["participant_id", *rules.participant_columns]
    table = tables.Table(columns)
    table.merge(participants, "participant_id", keep=True)
    tables.write(out / "participants.tsv", table)
    _json(out / "participants.json", {column: _COLUMNS[column] for column in columns})


def _json(path: Path, content: Mapping[str, Any]) -> None:
    atomic.write(path, (json.dumps(content, indent=2) + "\n").encode())
