import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from instances import instance
from orthanc_deid.door import NOT_STORED, Actions, Again, Door, Refusal, keep_durably
from orthanc_deid.errors import Rejected
from orthanc_deid.header import Header, load_reader

KEEP, MODIFY, DISCARD = 1, 2, 3
ACTIONS = Actions(keep=KEEP, modify=MODIFY, discard=DISCARD, origins={2: "DICOM_PROTOCOL", 3: "REST_API"})
SCREEN_SAVE = Refusal("screen-save", None, "SCREEN SAVE")
CT = "1.2.840.10008.5.1.4.1.1.2"


def door(
    folder: Path,
    *refusals: Refusal,
    instance_bytes: int = 2**31,
    deidentify: Callable[[bytes], bytes] | None = None,
    again: Again | None = None,
) -> Door:
    return Door(
        actions=ACTIONS,
        read=load_reader(""),
        quarantine=folder,
        instance_bytes=instance_bytes,
        refusals=refusals,
        deidentify=deidentify,
        again=again,
    )


def kept(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "incoming").glob("*.json"))]


def test_an_instance_that_no_rule_refuses_comes_in(tmp_path: Path) -> None:
    assert door(tmp_path, SCREEN_SAVE)(instance(), 2) == (KEEP, None)
    assert not (tmp_path / "incoming").exists()


@pytest.mark.parametrize("written", ["SCREEN SAVE", "screen save", "Screen Save "])
def test_one_value_of_image_type_in_any_case_is_enough(tmp_path: Path, written: str) -> None:
    dicom = instance()
    dicom = dicom.replace(b"CS\x12\x00DERIVED\\SECONDARY ", b"CS" + _short(f"DERIVED\\{written}"))
    assert door(tmp_path, SCREEN_SAVE)(dicom, 2) == (DISCARD, None)


def _short(text: str) -> bytes:
    value = text.encode().ljust(len(text) + len(text) % 2)
    return len(value).to_bytes(2, "little") + value


def test_what_is_refused_is_kept_with_its_reason(tmp_path: Path) -> None:
    dicom = instance(ImageType=["DERIVED", "SCREEN SAVE"])
    assert door(tmp_path, SCREEN_SAVE)(dicom, 3) == (DISCARD, None)
    [about] = kept(tmp_path)
    assert about.pop("at")
    expected = {"reason": "refused by a rule", "rule": "screen-save", "bytes": len(dicom), "origin": "REST_API"}
    assert about == expected
    [file] = (tmp_path / "incoming").glob("*.dcm")
    assert file.read_bytes() == dicom
    assert len(file.stem) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_every_trait_of_a_refusal_must_be_there() -> None:
    both = Refusal("x", CT, "LOCALIZER")
    assert both.matches(Header(frozenset({CT}), ("LOCALIZER",)))
    assert not both.matches(Header(frozenset({CT}), ("AXIAL",)))
    assert not both.matches(Header(frozenset({"1.2"}), ("LOCALIZER",)))
    assert Refusal("x", CT, None).matches(Header(frozenset({CT, "1.2"}), ()))


def test_a_value_that_only_contains_the_word_is_not_it() -> None:
    assert not SCREEN_SAVE.matches(Header(frozenset({CT}), ("NO SCREEN SAVE",)))


def test_an_instance_over_the_limit_is_kept_out(tmp_path: Path) -> None:
    assert door(tmp_path, instance_bytes=1024)(instance(rows=64), 2) == (DISCARD, None)
    assert kept(tmp_path)[0]["reason"] == "larger than 1024 bytes"


def test_an_instance_that_cannot_be_read_is_kept_out(tmp_path: Path) -> None:
    assert door(tmp_path)(bytes(128) + b"DICM" + b"\x02\x00\x10", 2) == (DISCARD, None)
    assert str(kept(tmp_path)[0]["reason"]).startswith("its header cannot be read")


def test_the_sender_of_what_is_no_dicom_sees_a_failure(tmp_path: Path) -> None:
    assert door(tmp_path)(b"x", 3) == (MODIFY, NOT_STORED)
    assert not (tmp_path / "incoming").exists()


def test_the_sender_sees_a_failure_when_the_quarantine_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("a file where the folder should be")
    assert door(tmp_path, SCREEN_SAVE)(instance(ImageType=["SCREEN SAVE"]), 2) == (MODIFY, NOT_STORED)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        keep_durably(tmp_path / "incoming", b"x", {})
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit, KeyboardInterrupt])
def test_nothing_is_raised_into_orthanc(tmp_path: Path, error: type[BaseException]) -> None:
    def broken(_dicom: bytes) -> Header:
        raise error

    made = Door(actions=ACTIONS, read=broken, quarantine=tmp_path, instance_bytes=2**31, refusals=())
    assert made(b"x" * 2000, 2) in {(DISCARD, None), (MODIFY, NOT_STORED)}


def test_nothing_is_raised_when_even_the_log_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr("orthanc_deid.log.event", broken)
    dicom = instance(ImageType=["SCREEN SAVE"])
    assert door(tmp_path, SCREEN_SAVE)(dicom, 2) == (MODIFY, NOT_STORED)


def raising(error: BaseException) -> Callable[[bytes], bytes]:
    def deidentify(_dicom: bytes) -> bytes:
        raise error

    return deidentify


def test_what_is_stored_is_the_output_not_the_instance(tmp_path: Path) -> None:
    dicom = instance()
    assert door(tmp_path, deidentify=lambda given: b"output of " + given)(dicom, 2) == (MODIFY, b"output of " + dicom)
    assert not (tmp_path / "incoming").exists()


def test_what_cannot_be_deidentified_is_in_quarantine_with_the_reason(tmp_path: Path) -> None:
    dicom = instance()
    assert door(tmp_path, deidentify=raising(Rejected("it has no PatientID")))(dicom, 2) == (DISCARD, None)
    assert kept(tmp_path)[0]["reason"] == "it has no PatientID"
    [file] = (tmp_path / "incoming").glob("*.dcm")
    assert file.read_bytes() == dicom


@pytest.mark.parametrize("error", [ValueError("Doe^John"), MemoryError(), RecursionError(), OSError("Doe^John")])
def test_a_fault_in_deidentifying_is_told_by_its_kind_alone(tmp_path: Path, error: Exception) -> None:
    assert door(tmp_path, deidentify=raising(error))(instance(), 2) == (DISCARD, None)
    assert kept(tmp_path)[0]["reason"] == f"it cannot be de-identified ({type(error).__name__})"


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_of_any_kind_lets_an_identified_instance_in(tmp_path: Path, error: BaseException) -> None:
    assert door(tmp_path, deidentify=raising(error))(instance(), 2) == (MODIFY, NOT_STORED)


def test_the_sender_sees_a_failure_when_what_cannot_be_deidentified_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("a file where the folder should be")
    assert door(tmp_path, deidentify=raising(Rejected("x")))(instance(), 2) == (MODIFY, NOT_STORED)


def test_what_a_rule_refuses_is_not_deidentified(tmp_path: Path) -> None:
    made = door(tmp_path, SCREEN_SAVE, instance_bytes=2000, deidentify=raising(AssertionError()))
    assert made(instance(ImageType=["SCREEN SAVE"]), 2) == (DISCARD, None)
    assert made(instance(rows=64), 2) == (DISCARD, None)
    assert made(b"no DICOM", 2) == (MODIFY, NOT_STORED)
    assert {about["reason"] for about in kept(tmp_path)} == {"refused by a rule", "larger than 2000 bytes"}


class Before:
    """What the door is told of an instance: that it came before, or an exception."""

    def __init__(self, *, told: bool | BaseException) -> None:
        self.told, self.asked = told, list[str]()

    def keeps_out(self, dicom: bytes, header: Header, origin: str) -> bool:
        assert dicom[header.start :]
        self.asked.append(origin)
        if isinstance(self.told, BaseException):
            raise self.told
        return self.told


def test_what_came_before_with_another_content_is_not_stored(tmp_path: Path) -> None:
    before = Before(told=True)
    assert door(tmp_path, again=before)(instance(), 3) == (DISCARD, None)
    assert door(tmp_path, again=Before(told=True), deidentify=bytes)(instance(), 3) == (DISCARD, None)
    assert before.asked == ["REST_API"]
    assert not (tmp_path / "incoming").exists()


def test_what_did_not_come_before_is_let_in(tmp_path: Path) -> None:
    assert door(tmp_path, again=Before(told=False))(instance(), 2) == (KEEP, None)


def test_what_is_refused_anyway_is_not_asked_for(tmp_path: Path) -> None:
    before = Before(told=True)
    assert door(tmp_path, SCREEN_SAVE, again=before)(instance(ImageType=["SCREEN SAVE"]), 2) == (DISCARD, None)
    assert door(tmp_path, again=before, deidentify=raising(Rejected("x")))(instance(), 2) == (DISCARD, None)
    assert before.asked == []
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("error", [OSError("Doe^John"), SystemExit(), KeyboardInterrupt()])
def test_the_sender_sees_a_failure_when_what_changed_cannot_be_put_aside(tmp_path: Path, error: BaseException) -> None:
    assert door(tmp_path, again=Before(told=error))(instance(), 2) == (MODIFY, NOT_STORED)


def test_a_fault_of_ours_in_comparing_loses_no_instance(tmp_path: Path) -> None:
    assert door(tmp_path, again=Before(told=RuntimeError("Doe^John")))(instance(), 2) == (DISCARD, None)
    assert len(kept(tmp_path)) == 1
    assert "John" not in str(kept(tmp_path))
