"""Lists of a run: what is asked of each kind, and what is written into it at the end."""

import json
from pathlib import Path
from typing import Any

import pytest

from orthanc_deid.errors import Rejected
from orthanc_deid.staging.entries import Entry, Key, Mark
from orthanc_deid.staging.lists import open_list
from orthanc_deid.staging.selection import query, select

AT = "2026-11-21T20:00:00+00:00"
PUSHED, FAILED = Mark(AT), Mark(AT, "not-found")
GOOD = {"has_phi": False, "relevant": True, "has_reconstruction": False}


def review(uid: str, **values: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a review
    return {"original_study_uid": uid} | GOOD | values


def written(folder: Path, content: str | bytes, name: str = "list") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def asked(path: Path) -> list[dict[str, str]]:
    return [dict(entry.cells) for entry in open_list(path).entries()]


def key(**cells: str) -> Key:
    return Entry(0, cells).key


def of(uid: str) -> Key:
    return key(StudyInstanceUID=uid)


def test_reviews_as_json_are_chosen_commented_and_marked(tmp_path: Path) -> None:
    reviews = [
        review("1.2.1", comment="fine"), review("1.2.2", relevant=False), review("1.2.3"),
        review("1.2.4", processing_error=True), review("1.2.1", comment="twice"),
    ]  # fmt: skip
    path = written(tmp_path, json.dumps(reviews))
    path.chmod(0o640)
    listed = open_list(path)
    assert [entry.uids for entry in listed.entries()] == [["1.2.1"], ["1.2.3"]]
    assert [each.texts for each in listed.comments() if each.uid == "1.2.1"] == [["fine", "twice"]]
    before = path.read_bytes()
    for _ in range(2):  # killed before it could say so, it is marked again
        assert open_list(path).mark(path, {of("1.2.1"): PUSHED, of("1.2.3"): FAILED}) == 2
        marked = json.loads(path.read_bytes())
        assert [each.get("pub_date") for each in marked] == [AT, None, None, None, AT]
        assert marked[2]["processing_error"] is True
        assert (marked[2]["processing_error_date"], marked[2]["processing_error_msg"]) == (AT, "not-found")
        assert (tmp_path / "list.bak").read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert asked(path) == []


def test_reviews_as_csv_are_marked_and_all_else_stays_byte_for_byte(tmp_path: Path) -> None:
    text = (
        '\ufeffsep=;\r\noriginal_study_uid;has_phi;relevant;has_reconstruction;comment;Image_published\r\n'
        '1.2.1;f;t;f;"a;b";\r\n\r\n1.2.2 ;  true;t;f;"odd ""quote""";\r\n1.2.3;f;t;f\r\n'
    )  # fmt: skip
    path = written(tmp_path, text)
    assert asked(path) == [{"StudyInstanceUID": "1.2.1"}, {"StudyInstanceUID": "1.2.3"}]
    assert open_list(path).mark(path, {of("1.2.1"): PUSHED, of("1.2.3"): FAILED, of("9.9"): PUSHED}) == 2
    lines = path.read_bytes().decode().split("\r\n")
    assert lines[0] == "\ufeffsep=;"
    names = lines[1].split(";")
    assert names[4:] == ["comment", "Image_published", *names[6:]]
    assert set(names[6:]) == {"pub_date", "processing_error", "processing_error_date", "processing_error_msg"}
    assert lines[2].startswith('1.2.1;f;t;f;"a;b";true;')
    assert lines[3:5] == ["", '1.2.2 ;  true;t;f;"odd ""quote""";']
    assert asked(path) == []


def test_reviews_that_contradict_each_other_stop_everything(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([review("1.2.1"), review("1.2.1", has_phi=True)]))
    with pytest.raises(Rejected, match="the list has faults, nothing was begun: line 2") as caught:
        open_list(path).entries()
    assert "1.2.1" not in str(caught.value)


def test_a_query_is_marked_by_line_and_what_is_marked_is_not_asked_again(tmp_path: Path) -> None:
    path = written(tmp_path, "PatientID,StudyDate\nA1,20200101\nA2,\nA3,\n")
    first = key(PatientID="A1", StudyDate="20200101")
    assert open_list(path).mark(path, {first: PUSHED, key(PatientID="A3"): FAILED}) == 2
    assert path.read_text().splitlines()[0].startswith("PatientID,StudyDate,image_published,pub_date,")
    assert [(each.line, dict(each.cells)) for each in open_list(path).entries()] == [(3, {"PatientID": "A2"})]
    assert open_list(path).mark(path, {key(PatientID="A2"): PUSHED}) == 1
    assert asked(path) == []


def test_a_line_that_a_person_has_changed_meanwhile_is_not_marked(tmp_path: Path) -> None:
    path = written(tmp_path, "PatientID\nA1\nA2\n")
    entries = open_list(path).entries()
    written(tmp_path, "PatientID\nNEW\nA2\nB1\n")
    assert open_list(path).mark(path, {entry.key: PUSHED for entry in entries}) == 1
    assert [cells["PatientID"] for cells in asked(path)] == ["NEW", "B1"]


def test_plain_uids_are_noted_beside_the_list(tmp_path: Path) -> None:
    path = written(tmp_path, "1.2.1\n1.2.2\n1.2.3\n")
    for _ in range(2):
        assert open_list(path).mark(path, {of("1.2.1"): PUSHED, of("1.2.2"): FAILED}) == 2
    assert (tmp_path / "list.pushed").read_text() == "1.2.1\n"
    assert (tmp_path / "list.failed").read_text() == "1.2.2\n"
    assert path.read_text() == "1.2.1\n1.2.2\n1.2.3\n"
    assert asked(path) == [{"StudyInstanceUID": "1.2.3"}]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04workbook", b"{}", b"[1]", b"[", b"Nonsense\nx\n", b"PatientID,image_published\nA1,,x,y\n"],
)
def test_what_is_no_list_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="the list"):
        open_list(written(tmp_path, content)).entries()


def uids(*some: str, **cells: str) -> list[Entry]:
    return [Entry(n, {"StudyInstanceUID": uid} | cells) for n, uid in enumerate(some, 2)]


def test_only_so_many_studies_are_chosen_and_the_rest_waits() -> None:
    found = select(uids("1.1", "1.2", "1.3"), 2, ())
    assert ([entry.line for entry in found.chosen], found.beyond, found.counted) == ([2, 3], 1, True)
    several = select(uids("1.1\\1.2\\1.3", "1.4"), 2, ())
    assert ([entry.line for entry in several.chosen], several.beyond) == ([2], 1)
    by_patient = select([Entry(n, {"PatientID": "A"}) for n in range(3)], 2, ())
    assert (len(by_patient.chosen), by_patient.beyond, by_patient.counted) == (3, 0, False)


def test_modalities_limit_what_is_asked_for() -> None:
    entries = [*uids("1.1"), *uids("1.2", Modality="ct,us"), *uids("1.3", Modality="US")]
    found = select(entries, 9, ("MR", "CT"))
    assert [entry.uids for entry in found.refused] == [["1.3"]]
    assert query(found.chosen, ("MR", "CT")) == "StudyInstanceUID,Modality\n1.1,MR\\CT\n1.2,CT\n"
    assert query(uids("1.1"), ()) == "StudyInstanceUID\n1.1\n"
