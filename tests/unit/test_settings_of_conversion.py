"""Settings of pictures and BIDS: faults are named with the mend."""

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from orthanc_deid.errors import ConfigurationError
from orthanc_deid.formats.pictures import PictureOptions, SheetOptions
from orthanc_deid.settings import bids
from orthanc_deid.settings.pictures import Pictures

RULE = "rules:\n  - {name: x, when: {Modality: MR}, datatype: anat, suffix: T1w}\n"


def test_every_setting_of_pictures_reaches_the_drawing() -> None:
    options = {field.name for field in fields(PictureOptions)}
    assert set(Pictures.model_fields) - {"sheet"} <= options
    assert set(Pictures().sheet.model_fields_set | set(type(Pictures().sheet).model_fields)) <= {
        field.name for field in fields(SheetOptions)
    }
    defaults = PictureOptions()
    assert {key: getattr(defaults, key) for key in Pictures().model_dump(exclude={"sheet"})} == Pictures().model_dump(
        exclude={"sheet"}
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"percentiles": (99.5, 0.5)}, "the lower first"),
        ({"percentiles": (0.0, 101.0)}, "from 0 to 100"),
        ({"frames": ()}, "at least one"),
        ({"frames": (0,)}, "greater than or equal to 1"),
        ({"frames": "first"}, "middle"),
        ({"bits": 12}, "8 or 16"),
    ],
)
def test_a_fault_in_the_settings_of_pictures_is_told(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Pictures.model_validate(values)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("anat", "anatomy", r"x.yaml:2: rules.0: rule x: there is no datatype anatomy \(did you mean anat\?\)"),
        ("suffix: T1w", "sufix: T1w", r"did you mean suffix\?"),
        ("suffix: T1w", "suffix: T1-w", "suffix"),
        (", suffix: T1w", "", "give datatype and suffix, or skip with a reason"),
        ("suffix: T1w", "suffix: T1w, skip: why", "what is skipped has no datatype"),
        ("suffix: T1w", "suffix: T1w, entities: {aqc: x}", r"no entity aqc to set \(did you mean acq\?\)"),
        ("suffix: T1w", "suffix: T1w, entities: {run: x}", "no entity run to set"),
        ("suffix: T1w", "suffix: T1w, entities: {task: {field: a, pattern: '('}}", "not a regular expression"),
        ("suffix: T1w", "suffix: T1w, entities: {task: {field: a, pattern: b}}", "has no group"),
    ],
)
def test_a_fault_in_a_rule_set_is_told_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(RULE.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        bids.template("x", [tmp_path])


def test_a_rule_set_beside_the_configuration_goes_before_the_shipped(tmp_path: Path) -> None:
    for name in ("site", "shipped"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "default.yaml").write_text(f"description: {name}\n{RULE}")
    assert bids.template("default", [tmp_path / "site", tmp_path / "shipped"]).description == "site"
    with pytest.raises(ConfigurationError, match=r"called defualt \(did you mean default\?\)"):
        bids.template("defualt", [tmp_path / "none", tmp_path / "site"])
