import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom import dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from fake_archive import FakeArchive, FakeStudy
from instances import instance
from orthanc_deid import states
from orthanc_deid.database import views
from orthanc_deid.database.conflicts import Conflicts
from orthanc_deid.door import keep_durably
from orthanc_deid.errors import Conflict, NotFound, Rejected, Retriable
from orthanc_deid.header import load_reader, read_header, read_identity
from orthanc_deid.intake.conflicts import ConflictingFiles, Places, decide, in_children
from orthanc_deid.intake.differences import PIXELS, Pair, differing
from orthanc_deid.intake.examine import Intake, examine
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.processes import Processes
from orthanc_deid.repeats import Repeats
from orthanc_deid.seen import Seen, Sight
from orthanc_deid.steps.subject import orthanc_id

UIDS: dict[str, Any] = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5"}
STUDY, INSTANCE = orthanc_id("TEST-1", "1.2.3"), orthanc_id("TEST-1", *UIDS.values())
KEY = b"k" * 32


def one(**attributes: Any) -> bytes:  # noqa: ANN401  # any value
    return instance(**UIDS | attributes)


@dataclass
class Files(FakeArchive):
    """A stand-in that holds the files of instances too."""

    files: dict[str, bytes] = field(default_factory=dict)
    refuses: bool = False

    def file(self, name: str) -> bytes:
        if name not in self.files:
            raise NotFound("Orthanc does not know that resource (404)")
        return self.files[name]

    def store(self, dicom: bytes) -> str:
        if self.refuses:
            raise Rejected("Orthanc does not store the instance (FilteredOut)")
        self.files.setdefault(INSTANCE, dicom)
        self.held.setdefault(STUDY, FakeStudy([INSTANCE]))
        return INSTANCE

    def delete(self, _level: str, name: str) -> None:
        self.files.pop(name, None)

    def present(self, study: str) -> set[str]:
        return set(self.held[study].instances) & set(self.files)


@pytest.fixture
def archive() -> Files:
    return Files()


@dataclass
class Ward:
    """The folder of conflicts with all around it."""

    intake: Intake
    archive: Files
    folder: Path
    looks: ConflictingFiles

    @property
    def seen(self) -> Seen:
        return Seen(self.folder / "seen.sqlite", KEY)

    def came(self, dicom: bytes, *, age_s: float = 60) -> str:
        """Put a file aside as the door does."""
        name = keep_durably(self.folder / "conflicts", dicom, {"at": "now", "bytes": len(dicom), "origin": "REST_API"})
        os.utime(self.folder / "conflicts" / f"{name}.dcm", (time.time() - age_s,) * 2)
        return name

    def names(self, of: str = "conflicts") -> list[str]:
        return sorted(path.name for path in (self.folder / of).glob("*"))

    def study(self) -> dict[str, Any]:
        return views.one(self.intake.ledger.engine, STUDY)

    def conflicts(self) -> list[Any]:
        return list(Conflicts(self.intake.ledger.engine).page())


@pytest.fixture
def ward(intake: Intake, archive: Files, tmp_path: Path) -> Ward:
    return Ward(intake, archive, tmp_path, looking(intake, tmp_path))


def looking(
    intake: Intake,
    folder: Path,
    as_stored: Callable[[bytes], bytes] = bytes,
    compare: Callable[[Pair], list[str]] = differing,
) -> ConflictingFiles:
    places = Places(folder / "conflicts", folder / "refused", folder / "results")
    return ConflictingFiles(intake, places, Seen(folder / "seen.sqlite", KEY), as_stored, compare)


def hold(ward: Ward, dicom: bytes) -> None:
    """Let Orthanc hold an instance."""
    ward.archive.store(dicom)
    ward.archive.held[STUDY] = FakeStudy([INSTANCE])


def finish(ward: Ward) -> int:
    """Take the study to its end as the steps do."""
    examine(ward.intake, STUDY, stable=True)
    study = ward.intake.ledger.find(STUDY)
    assert study
    [found] = ward.intake.ledger.instances(study.id)
    ward.intake.ledger.set_output(study.id, study.run, "output")
    ward.intake.ledger.mark_instances(study.id, study.run, [(found.id, "deidentified", "output-1", None)])
    for status in (states.DEIDENTIFYING, states.VERIFYING, states.DONE):
        ward.intake.ledger.move(study.id, status, run=study.run)
    ward.intake.ledger.set_verified(study.id, study.run, study.version)
    return study.id


def test_another_encoding_of_the_same_is_dropped(ward: Ward) -> None:
    hold(ward, one())
    ds = dcmread(BytesIO(one()))
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True, implicit_vr=True)
    ward.came(file.getvalue())
    ward.looks.look()
    assert (ward.names(), ward.conflicts()) == ([], [])


def test_a_change_is_a_conflict_that_holds_a_study_which_was_not_started(ward: Ward) -> None:
    hold(ward, one())
    name = ward.came(one(PatientName="Vorgelmund", Rows=9))
    for _ in range(2):
        ward.looks.look()
    [conflict] = ward.conflicts()
    assert (conflict.instance, conflict.file, conflict.state) == (INSTANCE, name, "open")
    assert ward.looks.about(name)["attributes"] == ["PatientName", "Rows"]
    examine(ward.intake, STUDY, stable=True)
    study = ward.study()
    assert (study["status"], study["conflicts"]) == ("waiting", 1)
    assert study["reason"] == "1 instance came again with another content: see conflicts"
    assert [e["reason"] for e in study["events"]].count("an instance came again with another content") == 1
    assert "Vorgelmund" not in str(study) + json.dumps(ward.looks.about(name))


def test_a_study_at_work_goes_on_with_what_is_stored(ward: Ward) -> None:
    hold(ward, one())
    examine(ward.intake, STUDY, stable=True)
    ward.came(one(Rows=9))
    ward.looks.look()
    assert (ward.study()["status"], ward.study()["conflicts"]) == ("queued", 1)
    decide(ward.intake, ward.conflicts()[0].id, "arrived", "ann")
    ward.looks.look()
    assert (ward.archive.files[INSTANCE], ward.conflicts()[0].state) == (one(), "replacing")


def test_a_study_that_is_done_stays_done_and_shows_it(ward: Ward) -> None:
    hold(ward, one())
    finish(ward)
    ward.came(one(Rows=9))
    ward.looks.look()
    study = ward.study()
    assert (study["status"], study["version"], study["conflicts"]) == ("done", 1, 1)


def test_what_is_stored_stays_when_a_person_says_so(ward: Ward) -> None:
    hold(ward, one())
    ward.came(one(Rows=9))
    ward.looks.look()
    decided = decide(ward.intake, ward.conflicts()[0].id, "stored", "ann")
    assert (decided.state, decided.actor) == ("kept", "ann")
    with pytest.raises(Conflict, match="decided already"):
        decide(ward.intake, decided.id, "arrived", "ann")
    ward.looks.look()
    assert (ward.names(), ward.archive.files[INSTANCE]) == ([], one())
    assert [study.source for study in ward.intake.ledger.to_recheck()] == [STUDY]
    examine(ward.intake, STUDY, stable=True)
    assert ward.study()["status"] == "queued"


@pytest.mark.parametrize("ends_after", ["nothing", "delete", "store", "replaced"])
def test_what_arrived_takes_its_place_also_after_a_crash(
    ward: Ward, ends_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(ward, one())
    number = finish(ward)
    changed = one(Rows=9)
    ward.came(changed)
    ward.looks.look()
    decide(ward.intake, ward.conflicts()[0].id, "arrived", "ann")

    def crash(*_: object) -> None:
        raise SystemExit

    points: dict[str, tuple[object, str]] = {
        "delete": (Files, "store"),
        "store": (Conflicts, "replaced"),
        "replaced": (ConflictingFiles, "_remove"),
    }
    if ends_after in points:
        with monkeypatch.context() as patched:
            patched.setattr(*points[ends_after], crash)
            with pytest.raises(SystemExit):
                ward.looks.look()
    for _ in range(2):
        ward.looks.look()
    assert (ward.names(), ward.archive.files[INSTANCE]) == ([], changed)
    study = ward.intake.ledger.get(number)
    assert (study.status, study.version, study.verified_version) == ("waiting", 2, 1)
    [found] = ward.intake.ledger.instances(number)
    assert (found.state, found.version, found.output) == ("received", 2, None)
    assert ward.conflicts()[0].state == "replaced"
    examine(ward.intake, STUDY, stable=True)
    assert ward.study()["status"] == "queued"


def test_the_door_is_told_to_let_in_what_takes_the_place(ward: Ward) -> None:
    hold(ward, one())
    finish(ward)
    changed = one(Rows=9)
    header = load_reader("")(changed)
    identity = read_identity(changed, header)
    assert identity
    ward.seen.judge(identity.uids, b"before")
    ward.came(changed)
    ward.looks.look()
    decide(ward.intake, ward.conflicts()[0].id, "arrived", "ann")
    ward.looks.look()
    assert ward.seen.judge(identity.uids, ward.seen.content(changed, header.start)) is Sight.SAME


def test_where_orthanc_holds_nothing_the_file_is_stored_but_not_at_once(ward: Ward) -> None:
    changed = one(Rows=9)
    name = ward.came(changed, age_s=0)
    ward.looks.look()
    assert (ward.archive.files, len(ward.names())) == ({}, 2)
    os.utime(ward.folder / "conflicts" / f"{name}.dcm", (0, 0))
    ward.looks.look()
    assert (ward.archive.files, ward.names()) == ({INSTANCE: changed}, [])


def test_what_orthanc_does_not_store_stays_where_it_is(ward: Ward) -> None:
    ward.archive.refuses = True
    ward.came(one(Rows=9))
    for _ in range(2):
        ward.looks.look()
    assert len(ward.names()) == 2
    ward.archive.away = True
    ward.looks.look()
    assert len(ward.names()) == 2


def test_a_change_of_what_retention_has_deleted_is_a_conflict_too(ward: Ward) -> None:
    hold(ward, one())
    finish(ward)
    ward.archive.files.clear()
    name = ward.came(one(Rows=9))
    ward.looks.look()
    assert ward.looks.about(name)["attributes"] is None
    assert ward.study()["conflicts"] == 1
    assert ward.archive.files == {}


def test_what_is_a_result_of_ours_is_never_replaced(ward: Ward) -> None:
    hold(ward, one())
    number = finish(ward)
    [source] = ward.intake.ledger.instances(number)
    run = ward.intake.ledger.get(number).run
    ward.intake.ledger.mark_instances(number, run, [(source.id, "deidentified", "result", None)])
    Conflicts(ward.intake.ledger.engine).add(number, "result", "f" * 32)
    with pytest.raises(Conflict, match="a result of ours"):
        decide(ward.intake, ward.conflicts()[0].id, "arrived", "ann")


def test_a_file_that_nobody_can_read_goes_to_what_was_refused(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ward.came(one()[:-100])

    def crash(path: Path, to: Path) -> None:
        if path.suffix == ".json":
            raise SystemExit
        os.rename(path, to)  # noqa: PTH104  # Path.rename is what is replaced

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crash)
        with pytest.raises(SystemExit):
            ward.looks.look()
    ward.looks.look()
    assert (ward.names(), ward.names("refused")) == ([], [f"{name}.dcm", f"{name}.json"])
    about = json.loads((ward.folder / "refused" / f"{name}.json").read_text())
    assert about["reason"] == "the file ends inside an attribute"


def test_one_file_that_fails_holds_up_no_other(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    def compare(pair: Pair) -> list[str]:
        if dcmread(BytesIO(pair.arrived)).Rows == 9:
            raise OSError("Vorgelmund")
        return differing(pair)

    hold(ward, one())
    for rows in (9, 10, 9, 11):
        ward.came(one(Rows=rows))
    with caplog.at_level("WARNING"):
        looking(ward.intake, ward.folder, compare=compare).look()
    assert len(ward.conflicts()) == 2
    assert "Vorgelmund" not in str([vars(record) for record in caplog.records])


def test_a_fault_of_ours_holds_up_neither_other_files_nor_the_loop(ward: Ward) -> None:
    def compare(pair: Pair) -> list[str]:
        if dcmread(BytesIO(pair.arrived)).Rows == 9:
            raise KeyError("Vorgelmund")
        return differing(pair)

    hold(ward, one())
    for rows in (9, 10, 9, 11):
        ward.came(one(Rows=rows))
    looking(ward.intake, ward.folder, compare=compare).look()
    assert len(ward.conflicts()) == 2


def came_through_the_door(ward: Ward, dicom: bytes) -> bool:
    """Let the door judge an instance; True: it keeps it out."""
    repeats = Repeats(ward.seen, ward.folder / "conflicts", None)
    return repeats.keeps_out(dicom, read_header(dicom, read_dataset), "DICOM_PROTOCOL")


@pytest.mark.parametrize("end", ["another encoding", "kept"])
def test_what_was_dropped_is_stored_when_it_comes_after_the_study_was_deleted(ward: Ward, end: str) -> None:
    assert not came_through_the_door(ward, one())
    hold(ward, one())
    other = one(Rows=9)
    assert came_through_the_door(ward, other)
    looks = looking(ward.intake, ward.folder, compare=lambda _: [] if end == "another encoding" else ["Rows"])
    looks.look()
    if end == "kept":
        decide(ward.intake, ward.conflicts()[0].id, "stored", "ann")
        looks.look()
    assert ward.names() == []
    ward.archive.delete("instances", INSTANCE)  # a person deletes the study and has it sent again
    assert came_through_the_door(ward, other)
    for path in (ward.folder / "conflicts").glob("*.dcm"):
        os.utime(path, (time.time() - 60,) * 2)
    looks.look()
    assert ward.archive.files.get(INSTANCE) == other


def test_with_deidentification_on_arrival_the_outputs_are_compared(ward: Ward) -> None:
    hold(ward, one())
    looks = looking(ward.intake, ward.folder, as_stored=lambda dicom: one(Rows=dcmread(BytesIO(dicom)).Rows))
    ward.came(one(PatientName="Other"))
    ward.came(one(Rows=9))
    looks.look()
    assert [looks.about(conflict.file)["attributes"] for conflict in ward.conflicts()] == [["Rows"]]
    assert len(ward.names()) == 2


def test_compressed_pixels_are_compared_in_a_child_process() -> None:
    def compressed(**attributes: Any) -> bytes:  # noqa: ANN401  # any value
        ds = dcmread(BytesIO(one(rows=32, **attributes)))
        ds.compress(RLELossless, generate_instance_uid=False)
        file = BytesIO()
        ds.save_as(file, enforce_file_format=True)
        return file.getvalue()

    pool = Processes(1)
    try:
        compare = in_children(lambda: pool)
        assert compare(Pair(one(rows=32), compressed())) == []
        other = compressed(PixelData=b"\1" * 2048)
        assert compare(Pair(one(rows=32), other)) == [PIXELS]
        with pytest.raises(Rejected):
            compare(Pair(b"x", other))
    finally:
        pool.close()


def test_where_a_child_dies_a_person_has_to_look() -> None:
    class Dying:
        def map(self, *_: object) -> None:
            raise Retriable("a child process failed (BrokenProcessPool)")

    assert in_children(lambda: cast("Processes", Dying()))(Pair(b"", b"")) == [PIXELS]


def test_the_stand_in_has_the_methods_of_the_real_one() -> None:
    for name in ("file", "store", "delete", "present"):
        assert callable(getattr(Orthanc, name))


def test_private_and_nested_attributes_are_told_by_tag_and_keyword() -> None:
    stored, arrived = dcmread(BytesIO(one())), dcmread(BytesIO(one()))
    for ds, value in ((stored, "a"), (arrived, "b")):
        ds.private_block(0x0029, "VENDOR", create=True).add_new(0x10, "LO", value)
        item = dcmread(BytesIO(one()))
        del item.PixelData
        item.PatientName = value
        ds.ReferencedStudySequence = [item]
        ds.RetrieveAETitle = value  # how it came, not what it is
    files = []
    for ds in (stored, arrived):
        file = BytesIO()
        ds.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    assert differing(Pair(*files)) == ["ReferencedStudySequence", "0029,1010"]
