import csv
import json
from pathlib import Path

import pytest

from orthanc_deid.errors import ConfigurationError
from orthanc_deid.folder import mapping


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_mappings_are_sorted_unique_and_texts(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "map"
    patients = [("007", "PB"), ('with "quotes", commas', "PA"), ("007", "PB"), ("Jörg\n太郎", "PC")]
    mapping.write(folder, [("1.2.10", "2.25.1"), ("1.2.1", "2.25.2")], patients, {"counts": {}})
    assert rows(folder / "uid_mapping.csv") == [["id_old", "id_new"], ["1.2.1", "2.25.2"], ["1.2.10", "2.25.1"]]
    assert rows(folder / "patid_mapping.csv")[1:] == [
        ["007", "PB"],
        ["Jörg\n太郎", "PC"],
        ['with "quotes", commas', "PA"],
    ]
    assert json.loads((folder / "manifest.json").read_text()) == {"counts": {}}


def test_only_the_owner_can_read_them_and_no_part_stays(tmp_path: Path) -> None:
    folder = tmp_path / "map"
    mapping.write(folder, [], [], {})
    (folder / "uid_mapping.csv.new").write_bytes(b"left by a power cut")
    mapping.write(folder, [("1", "2")], [], {})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        (mapping.UIDS, mapping.PATIENTS, mapping.MANIFEST), 0o600
    )
    assert rows(folder / "uid_mapping.csv")[1:] == [["1", "2"]]


def test_a_path_that_is_no_text_is_written_by_its_codes(tmp_path: Path) -> None:
    mapping.write(tmp_path, [], [], {"quarantined": [{"path": "a\udcff"}]})
    assert json.loads((tmp_path / "manifest.json").read_text())["quarantined"] == [{"path": "a\udcff"}]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "map").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="--mapping-dir cannot be written"):
        mapping.write(tmp_path / "map", [], [], {})
