from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orthanc_deid.cli.copies import _save_instance


@pytest.mark.parametrize("uid", ["../../outside", "/tmp/outside", "a/b"])  # noqa: S108  # never written
def test_a_uid_that_is_a_path_names_no_file(uid: str, tmp_path: Path) -> None:
    place = tmp_path / "copies" / "sub-1"
    place.mkdir(parents=True)
    server = SimpleNamespace(get=lambda _path: SimpleNamespace(content=b"DICM"))
    instance: dict[str, Any] = {"ID": "0123-4567", "FileSize": 4, "MainDicomTags": {"SOPInstanceUID": uid}}
    _save_instance(cast("Any", server), instance, place)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place / "0123-4567.dcm"]
