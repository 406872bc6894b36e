import json
import sqlite3
import stat
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from instances import instance
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.header import Header, Identity, load_reader, read_identity
from orthanc_deid.repeats import Repeats, load
from orthanc_deid.seen import Seen, Sight
from planting import IDENTITY

UIDS: dict[str, Any] = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5"}
MARK = "Orthanc De-ID"
READ = load_reader("")


def one(**attributes: Any) -> bytes:  # noqa: ANN401  # any value
    return instance(**UIDS | attributes)


def header(dicom: bytes) -> Header:
    return READ(dicom)


@pytest.fixture
def repeats(tmp_path: Path) -> Repeats:
    return made(tmp_path)


def made(folder: Path, mark: str | None = MARK) -> Repeats:
    return Repeats(Seen(folder / "seen.sqlite", b"k" * 32), folder / "conflicts", mark)


def keeps_out(repeats: Repeats, dicom: bytes, origin: str = "DICOM_PROTOCOL") -> bool:
    return repeats.keeps_out(dicom, header(dicom), origin)


def aside(folder: Path) -> list[Path]:
    return sorted((folder / "conflicts").glob("*.dcm"))


def test_the_same_instance_is_let_in_any_number_of_times(repeats: Repeats, tmp_path: Path) -> None:
    assert [keeps_out(repeats, one()) for _ in range(3)] == [False, False, False]
    assert aside(tmp_path) == []


def test_another_content_under_the_same_uids_is_put_aside_once(repeats: Repeats, tmp_path: Path) -> None:
    changed = one(PatientName="Test^Two")
    assert not keeps_out(repeats, one())
    assert [keeps_out(repeats, changed) for _ in range(3)] == [True, True, True]
    [file] = aside(tmp_path)
    assert file.read_bytes() == changed
    about = json.loads(file.with_suffix(".json").read_text())
    assert about.pop("at")
    assert about == {"bytes": len(changed), "origin": "DICOM_PROTOCOL"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not keeps_out(repeats, one())


@pytest.mark.parametrize("differs", [*UIDS, "PatientID"])
def test_what_orthanc_takes_for_another_instance_is_none_that_came_again(
    repeats: Repeats, tmp_path: Path, differs: str
) -> None:
    assert not keeps_out(repeats, one())
    assert not keeps_out(repeats, one(**{differs: "9.9"}))
    assert aside(tmp_path) == []


def test_the_file_meta_information_does_not_count(repeats: Repeats) -> None:
    ds = dcmread(BytesIO(one()))
    ds.file_meta.SourceApplicationEntityTitle = "OTHER"
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    assert not keeps_out(repeats, one())
    assert not keeps_out(repeats, file.getvalue())


def test_a_result_that_a_worker_makes_anew_is_let_in_by_rest_only(repeats: Repeats, tmp_path: Path) -> None:
    assert not keeps_out(repeats, one(DeidentificationMethod=f"{MARK} 1"), "REST_API")
    anew = one(DeidentificationMethod=f"{MARK} 2")
    assert not keeps_out(repeats, anew, "REST_API")
    assert keeps_out(repeats, anew)
    assert len(aside(tmp_path)) == 1


def test_the_mark_says_nothing_where_no_worker_stores(tmp_path: Path) -> None:
    repeats = made(tmp_path, None)
    assert not keeps_out(repeats, one(DeidentificationMethod=f"{MARK} 1"), "REST_API")
    assert keeps_out(repeats, one(DeidentificationMethod=f"{MARK} 2"), "REST_API")


def test_its_sender_sees_a_failure_where_it_cannot_be_put_aside(repeats: Repeats, tmp_path: Path) -> None:
    (tmp_path / "conflicts").write_text("a file where the folder should be")
    keeps_out(repeats, one())
    with pytest.raises(OSError, match="exists"):
        keeps_out(repeats, one(Rows=9))


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), PermissionError("Doe^John")])
def test_where_nothing_can_be_compared_all_is_let_in_and_it_is_said_once(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Sight:
        raise error

    repeats = made(tmp_path)
    keeps_out(repeats, one())
    with monkeypatch.context() as patched, caplog.at_level("INFO"):
        patched.setattr(Seen, "judge", broken)
        assert [keeps_out(repeats, one(Rows=number)) for number in (1, 2, 3)] == [False, False, False]
    assert [record.getMessage() for record in caplog.records] == ["repeated instances are not compared"]
    assert "John" not in str([vars(record) for record in caplog.records])
    assert keeps_out(repeats, one(Rows=4))


def test_what_was_put_aside_and_not_remembered_is_put_aside_again(
    repeats: Repeats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError

    keeps_out(repeats, one())
    monkeypatch.setattr(Seen, "put_aside", broken)
    assert [keeps_out(repeats, one(Rows=9)) for _ in range(2)] == [True, True]
    assert len(aside(tmp_path)) == 2


def test_no_identity_is_in_a_name_a_log_or_the_file_of_digests(
    repeats: Repeats, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planted: dict[str, Any] = {
        "PatientName": IDENTITY["name"],
        "PatientID": IDENTITY["id"],
        "AccessionNumber": IDENTITY["accession"],
    }
    uids: dict[str, Any] = {keyword: f"{IDENTITY['uid']}.{number}" for number, keyword in enumerate(UIDS)}
    with caplog.at_level("INFO"):
        keeps_out(repeats, instance(**planted, **uids))
        assert keeps_out(repeats, instance(**planted, **uids, Rows=9))
    told = str([vars(record) for record in caplog.records])
    for path in tmp_path.rglob("*"):
        told += path.name + ("" if path.is_dir() or path.suffix == ".dcm" else path.read_bytes().decode("latin-1"))
    assert [value for value in IDENTITY.values() if value in told] == []


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_the_uids_are_read_in_every_encoding(syntax: str) -> None:
    inner, innermost = Dataset(), Dataset()
    inner.PatientID, inner.ReferencedImageSequence = "9", [innermost]
    inner.StudyInstanceUID = innermost.SOPInstanceUID = "9.9"
    sequence = Sequence([inner, inner])
    for endless in (sequence, inner.ReferencedImageSequence):
        endless.is_undefined_length = True
        for item in endless:
            item.is_undefined_length_sequence_item = True
    dicom = instance(syntax=syntax, **UIDS, DeidentificationMethod=MARK, ReferencedStudySequence=sequence)
    assert b"\xff" * 4 in dicom or syntax == DeflatedExplicitVRLittleEndian
    expected = Identity(b"TEST-1|1.2.3|1.2.3.4|1.2.3.4.5", MARK.encode())
    assert read_identity(dicom, header(dicom)) == expected


def test_an_instance_that_ends_early_or_is_out_of_order_is_not_compared(repeats: Repeats, tmp_path: Path) -> None:
    dicom = one()
    known = header(dicom)
    for length in range(known.start, len(dicom) - 700, 7):
        assert not repeats.keeps_out(dicom[:length], known, "DICOM_PROTOCOL")
    backwards = dicom[: known.start] + dicom[known.start :].replace(b"\x10\x00\x20\x00LO", b"\x07\x00\x20\x00LO")
    assert not repeats.keeps_out(backwards, known, "DICOM_PROTOCOL")
    assert aside(tmp_path) == []


def test_it_is_made_of_what_the_rules_say(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ab" * 32 + "\n")
    rules = {
        "home": str(tmp_path),
        "seen": str(tmp_path / "s"),
        "folder": str(tmp_path / "conflicts"),
        "own_mark": MARK,
    }
    repeats = load(rules)
    assert not keeps_out(repeats, one())
    assert keeps_out(repeats, one(Rows=9))
    (tmp_path / "key").write_text("not hexadecimal")
    with pytest.raises(ConfigurationError, match="hex"):
        load(rules)
