from pathlib import Path

import pytest

from orthanc_deid.errors import ConfigurationError, Rejected
from orthanc_deid.folder import output

PATH = "PABC234/2.25.1/2.25.2/2.25.3.dcm"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "a" / "out"
    output.begin(made)
    return made


def test_the_path_is_made_of_the_new_ids() -> None:
    assert output.path_of("PABC234", "2.25.1", "2.25.2", "2.25.3") == PATH


@pytest.mark.parametrize("uid", ["..", ".", "", "1..2", "../1", "1/2", "1.2\n", "1.2.", "a"])
def test_what_is_no_uid_never_becomes_a_path(uid: str) -> None:
    for place in range(3):
        uids = ["1.2", "1.2", "1.2"]
        uids[place] = uid
        with pytest.raises(Rejected, match="not valid"):
            output.path_of("PABC234", *uids)


@pytest.mark.parametrize(
    ("pseudonym", "folder"),
    [("../P", "%2E.%2FP"), (".P", "%2EP"), ("sub-01_a.b", "sub-01_a.b"), ("P 1%", "P%201%25"), ("/P:1", "%2FP%3A1")],
)
def test_the_folder_of_a_patient_leads_nowhere_else_and_tells_his_pseudonym(
    pseudonym: str, folder: str, tmp_path: Path
) -> None:
    path = output.path_of(pseudonym, "1.2", "1.3", "1.4")
    assert path == f"{folder}/1.2/1.3/1.4.dcm"
    assert output.pseudonym_of(folder) == pseudonym
    (tmp_path / path).parent.mkdir(parents=True)
    assert output.holds(tmp_path)


@pytest.mark.parametrize("pseudonym", ["", "/" * 100])
def test_what_no_folder_can_be_called_is_refused(pseudonym: str) -> None:
    with pytest.raises(Rejected, match="no folder"):
        output.path_of(pseudonym, "1.2", "1.2", "1.2")


def test_only_the_owner_can_read_what_is_written(out: Path) -> None:
    output.write(out, PATH, b"data")
    output.end(out)
    found = list(out.rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (out, *found) if path.is_dir()} == {0o700}
    assert [path for path in found if path.is_file()] == [out / PATH]
    assert (out / PATH).read_bytes() == b"data"


def test_a_disk_that_cannot_be_written_is_told_without_a_path(out: Path) -> None:
    (out / "PABC234").write_bytes(b"in the way")
    with pytest.raises(ConfigurationError) as caught:
        output.write(out, PATH, b"data")
    assert "2.25" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="OUT cannot be written"):
        output.begin(out / "PABC234")


def test_an_output_is_there_only_with_its_size_and_content(out: Path) -> None:
    digest = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"  # of b"data"
    assert not output.is_there(out, PATH, 4, digest)
    output.write(out, PATH, b"data")
    assert output.is_there(out, PATH, 4, digest)
    assert not output.is_there(out, PATH, 5, digest)
    (out / PATH).write_bytes(b"dat\x00")
    assert not output.is_there(out, PATH, 4, digest)


def test_a_removed_output_takes_empty_folders_with_it(out: Path) -> None:
    output.write(out, PATH, b"data")
    output.write(out, "PABC234/2.25.1/2.25.4/2.25.5.dcm", b"data")
    output.remove(out, PATH)
    assert not (out / "PABC234/2.25.1/2.25.2").exists()
    assert (out / "PABC234/2.25.1/2.25.4/2.25.5.dcm").exists()


def test_unfinished_files_count_for_nothing_and_go(out: Path) -> None:
    (out / output.UNFINISHED / "x").write_bytes(b"half")
    assert not output.holds(out)
    output.begin(out)
    assert list((out / output.UNFINISHED).iterdir()) == []
    output.write(out, PATH, b"data")
    assert output.holds(out)


@pytest.mark.parametrize("name", ["some folder", ".git", "a:b"])
def test_what_is_not_ours_in_the_folder_is_refused(out: Path, name: str) -> None:
    (out / name).mkdir()
    with pytest.raises(ConfigurationError, match="did not write"):
        output.holds(out)
