from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from orthanc_deid.service.manifests import MOST, Announcements
from orthanc_deid.service.models import ManifestWanted

ADAPTER: TypeAdapter[list[ManifestWanted]] = TypeAdapter(Announcements)
STUDY, LISTED = "1.2.826.0.1.3680043.10.1337", ["1.2.3", "1.2.4"]


def message(body: Any) -> str:  # noqa: ANN401  # JSON
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python(body)
    return str(refused.value.errors(include_url=False, include_input=False)[0]["msg"])


def test_one_manifest_is_as_good_as_a_list_of_one() -> None:
    one = {"StudyInstanceUID": STUDY, "instances": 2}
    assert ADAPTER.validate_python(one) == ADAPTER.validate_python([one])
    listed = ADAPTER.validate_python({"StudyInstanceUID": STUDY, "SOPInstanceUIDs": LISTED})
    assert (listed[0].instances, listed[0].SOPInstanceUIDs) == (None, tuple(LISTED))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "give instances, SOPInstanceUIDs or both"),
        ({"instances": 3, "SOPInstanceUIDs": LISTED}, "instances is 3, and SOPInstanceUIDs names 2"),
        ({"SOPInstanceUIDs": ["1.2.3", "1.2.3"]}, "SOPInstanceUIDs names an instance twice"),
        ({"instances": 0}, "greater than or equal to 1"),
        ({"SOPInstanceUIDs": ["MRN-770001"]}, "should match pattern"),
        ({"instances": 1, "PatientID": "MRN-770001"}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_agree_is_refused_without_its_value(more: dict[str, Any], expected: str) -> None:
    told = message({"StudyInstanceUID": STUDY} | more)
    assert expected in told
    assert "MRN" not in told


def test_too_many_at_once_are_refused() -> None:
    one = {"StudyInstanceUID": STUDY, "instances": 2}
    assert f"at most {MOST}" in message([one] * (MOST + 1))
    assert "at least 1" in message([])
