"""Trees of the NIfTI of one study: BIDS, and that of image-deid-etl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..destinations.base import Converted
from ..errors import ConfigurationError
from ..formats.labels import Labels
from ..settings import bids as bids_settings
from ..settings import etl as etl_settings
from ..settings.conversion import Conversion
from .cache import Answer

if TYPE_CHECKING:
    from ..formats.bids_rules import BidsRules

TREE = "tree"
_DATE = 8  # characters of YYYYMMDD


@dataclass(frozen=True)
class Told:
    """De-identified values of a study and of its series by Orthanc id, by keyword; and the labels that it was given."""

    project: str
    study: Mapping[str, str]
    series: Mapping[str, Mapping[str, str]]
    labels: Labels


def bids_rules(conversion: Conversion, folders: Sequence[Path]) -> BidsRules:
    """Read the rule set that the configuration names."""
    return bids_settings.rules(conversion.bids, bids_settings.template(conversion.bids.template, folders))


def bids(converted: Sequence[Converted], told: Told, folder: Path, rules: BidsRules) -> Answer:
    """Lay the conversions out as a BIDS dataset of this study alone."""
    from ..formats.bids import BidsSeries, build

    named = told.labels.fields(told.study)
    series = [
        BidsSeries(
            key=told.series[one.series].get("SeriesInstanceUID", one.series),
            subject=named["subject"],
            session=named["session"],
            files=one.files,
            fields={**told.study, **told.series[one.series]},
            acquired=_acquired(told.study),
        )
        for one in converted
    ]
    made = build(series, folder / TREE, rules)
    remarks = tuple(f"series {left.number} is not in the tree: {left.reason}" for left in made.unmatched)
    return Answer(_files(folder), remarks)


def etl_template(conversion: Conversion, folders: Sequence[Path]) -> etl_settings.Etl:
    """Read the template of the tree of image-deid-etl.

    Raises
    ------
    ConfigurationError
        None is named, or there is none of that name.
    """
    if conversion.etl is None:
        raise ConfigurationError("conversion.etl: names no template: cbtn and corsica are shipped")
    return etl_settings.find(conversion.etl, folders)


def etl(converted: Sequence[Converted], told: Told, folder: Path, template: etl_settings.Etl) -> Answer:
    """Lay the conversions out as {program}/{site}/NIfTIs/{project}/{subject}/{session}/{NN - description}/."""
    from ..formats.etl_tree import EtlRules, EtlSeries, Place, tree
    from ..formats.session_labels import Label, session_label

    given = told.labels.session
    label = Label(given) if given else session_label(told.study, template.session_labels.rules())
    place = Place(
        template.program, template.site, told.project, told.labels.fields(told.study)["subject"], label.text,
        told.study.get("StudyInstanceUID", ""),
    )  # fmt: skip
    rules = EtlRules(
        template.dropped, template.removed_keys, template.minimum_keys, template.wanted_type, template.exempt,
        template.exempt_from_keys,
    )  # fmt: skip
    series = [
        EtlSeries(
            key=values.get("SeriesInstanceUID", one.series),
            number=int(number) if (number := values.get("SeriesNumber", "")).isdigit() else None,
            description=values.get("SeriesDescription", ""),
            modality=values.get("Modality", ""),
            files=one.files,
        )
        for one in converted
        if (values := told.series[one.series]) is not None
    ]
    made = tree(series, place, folder / TREE, rules)
    return Answer(_files(folder), (*label.remarks, *made.remarks))


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))


def _acquired(study: Mapping[str, str]) -> str:
    date, time = study.get("StudyDate", ""), study.get("StudyTime", "")[:6]
    if len(date) != _DATE or not date.isdigit():
        return ""
    clock = f"{time[:2]}:{time[2:4]}:{time[4:6]}" if len(time) == 6 and time.isdigit() else "00:00:00"  # noqa: PLR2004
    return f"{date[:4]}-{date[4:6]}-{date[6:]}T{clock}"
