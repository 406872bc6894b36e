from pathlib import Path

import pytest

from orthanc_deid.errors import ConfigurationError
from orthanc_deid.folder.places import check


def test_folders_beside_each_other_are_accepted(tmp_path: Path) -> None:
    check(tmp_path / "in", tmp_path / "out", tmp_path / "map", tmp_path / "home")
    check(tmp_path / "in", tmp_path / "map" / "out", tmp_path / "map", tmp_path / "home")
    check(tmp_path / "in", tmp_path / "in-2", None, tmp_path / "home")


@pytest.mark.parametrize(
    ("source", "out", "mapping", "home", "told"),
    [
        ("in", "in", None, "home", "OUT and IN are the same"),
        ("in", "in/out", None, "home", "OUT lies inside IN"),
        ("out/in", "out", None, "home", "IN lies inside OUT"),
        ("in", "link/out", None, "home", "OUT lies inside IN"),
        ("in", "x/../in/out", None, "home", "OUT lies inside IN"),
        ("in", "out", "out/map", "home", "--mapping-dir lies inside OUT"),
        ("in", "out", "out", "home", "--mapping-dir and OUT are the same"),
        ("in", "out", "in/map", "home", "--mapping-dir lies inside IN"),
        ("in", "out", None, "out/home", "ORTHANC_DEID_HOME lies inside OUT"),
    ],
)
def test_a_folder_inside_another_one_is_refused(
    tmp_path: Path, source: str, out: str, mapping: str | None, home: str, told: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    with pytest.raises(ConfigurationError, match=told):
        check(tmp_path / source, tmp_path / out, tmp_path / mapping if mapping else None, tmp_path / home)
