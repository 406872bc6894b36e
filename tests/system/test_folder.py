"""`orthanc-deid deidentify` as a person runs it: a real process, real files, killed and started again."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

import objects
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms
from orthanc_deid.keyring import Keyring
from servers import CHECKOUT, children, is_running, wait_for
from studies import Person, ct_instance, ct_study

Done = subprocess.CompletedProcess[str]
MARKER = objects.MARKER


class Folders:
    """IN, OUT, mapping folder and home of one test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source, self.out, self.mapping, self.home = (root / name for name in ("in", "out", "map", "home"))
        self.source.mkdir()
        self.started: subprocess.Popen[str] | None = None
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
        self.environment = clean | {"PYTHONPATH": str(CHECKOUT / "plugin"), "ORTHANC_DEID_HOME": str(self.home)}

    def put(self, name: str, data: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def words(self, *more: str, out: Path | None = None, before: tuple[str, ...] = ()) -> list[str]:
        profile = [] if "--profile" in more else ["--profile", "basic"]
        named = ["deidentify", str(self.source), str(out or self.out), *profile, *more]
        return [sys.executable, "-m", "orthanc_deid", *before, *named]

    def __call__(self, *more: str, out: Path | None = None, before: tuple[str, ...] = ()) -> Done:
        return subprocess.run(
            self.words(*more, out=out, before=before),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def mapped(self) -> Done:
        return self("--mapping-dir", str(self.mapping))

    def start(self) -> subprocess.Popen[str]:
        """Start it as the leader of a process group, as a shell does; it ends with the test."""
        pipe = subprocess.PIPE
        self.started = subprocess.Popen(
            self.words(), env=self.environment, stdout=pipe, stderr=pipe, text=True, process_group=0
        )
        return self.started

    def pseudonyms(self, project: str = "default") -> Pseudonyms:
        """Answer what the pipeline would use."""
        return Pseudonyms(Keyring(self.home, {}).project(project))

    def rows(self, name: str) -> dict[str, str]:
        with (self.mapping / name).open(newline="") as file:
            return {row["id_old"]: row["id_new"] for row in csv.DictReader(file)}


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(tmp_path)
    yield made
    if made.started:
        made.started.kill()
        made.started.communicate(timeout=20)


def content(folder: Path) -> dict[str, str]:
    """Answer every file with the digest of its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def outputs(folders: Folders) -> list[Path]:
    return sorted(folders.out.rglob("*.dcm"))


def test_a_folder_is_deidentified_with_the_pseudonyms_of_the_pipeline(folders: Folders) -> None:
    for person in (Person(1), Person(2)):
        for number, data in enumerate(ct_study(person, 3)):
            folders.put(f"{person.PatientName}/a/b/{number}", data)
    done = folders.mapped()
    assert (done.returncode, done.stdout) == (0, "De-identified: 6 instances in 2 series, 2 studies, 2 patients.\n")
    keyed = folders.pseudonyms()
    assert folders.rows("patid_mapping.csv") == {
        person.PatientID: keyed.patient_id(Patient("", person.PatientID)) for person in (Person(1), Person(2))
    }
    uids = folders.rows("uid_mapping.csv")
    assert len(uids) == 2 + 2 + 6
    assert uids == {old: keyed.uid(old) for old in uids}
    for path in outputs(folders):
        ds = pydicom.dcmread(path)
        parts = (ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID, f"{ds.SOPInstanceUID}.dcm")
        assert path.relative_to(folders.out).parts == parts
        assert ds.SOPInstanceUID in uids.values()


def test_no_marker_is_in_any_byte_or_path_or_message(folders: Folders) -> None:
    people = [Person(1), Person(2)]
    for person in people:
        for number, data in enumerate(ct_study(person, 3)):
            folders.put(f"{person.PatientID}/{person.PatientName}-{number}.dcm", data)
    ds = objects.image(SOPInstanceUID=f"{objects.ROOT}.5")
    objects.planted(ds, 2)
    folders.put(f"{MARKER}.dcm", objects.written(ds))
    done = folders.mapped()
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr + (folders.home / "key").read_text()
    told += "".join(path.read_text() for path in (folders.home / "folders").iterdir())
    everything = told.encode() + b"".join(
        str(path.relative_to(folders.out)).encode() + (path.read_bytes() if path.is_file() else b"")
        for path in folders.out.rglob("*")
    )
    markers = {marker for person in people for marker in person.markers} | {MARKER, objects.PATIENT.patient_id}
    assert len(outputs(folders)) == 7
    assert [marker for marker in sorted(markers) if marker.encode() in everything] == []
    assert [marker for marker in sorted(markers) if marker.encode("utf-16-le") in everything] == []


def test_only_the_owner_can_read_outputs_mappings_and_journal(folders: Folders) -> None:
    folders.put("1", ct_instance(Person(1)))
    assert folders.mapped().returncode == 0
    for top in (folders.out, folders.mapping, folders.home):
        for path in (top, *top.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_zip_files_are_searched_and_what_is_no_dicom_is_listed(folders: Folders) -> None:
    with zipfile.ZipFile(folders.source / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(ct_study(Person(1), 3)):
            archive.writestr(f"deep/inside/{number}", data)
    with zipfile.ZipFile(folders.source / "letter.docx", "w") as archive:
        archive.writestr("a.xml", "<a/>")
        archive.writestr("b.xml", "<b/>")
    folders.put("notes/readme.txt", b"a text\x1b[31m that is no DICOM")
    directory = objects.image(SOPClassUID="1.2.840.10008.1.3.10")
    folders.put("DICOMDIR", objects.written(directory))
    done = folders()
    assert done.returncode == 0
    assert "De-identified: 3 instances" in done.stdout
    assert "Not DICOM: 2\n  letter.docx: a ZIP file without DICOM\n  notes/readme.txt: not a DICOM file" in done.stdout
    assert "Ignored: 1\n  DICOMDIR: a DICOMDIR" in done.stdout
    assert len(outputs(folders)) == 3


def test_what_cannot_be_deidentified_is_listed_and_the_rest_of_its_study_goes_on(folders: Folders) -> None:
    slices = ct_study(Person(1), 4)
    for number, data in enumerate(slices):
        folders.put(f"s/{number}.dcm", data[: len(data) // 2] if number == 2 else data)
    folders.put("nobody.dcm", objects.written(objects.image(PatientID="")))
    done = folders.mapped()
    assert done.returncode == 3
    assert "s/2.dcm" not in done.stdout + done.stderr
    manifest = json.loads((folders.mapping / "manifest.json").read_text())
    assert manifest["counts"]["instances"] == len(outputs(folders)) == 3
    assert manifest["quarantined"] == [
        {"path": "nobody.dcm", "reason": "it has no PatientID"},
        {"path": "s/2.dcm", "reason": "the file ends inside an attribute"},
    ]
    assert manifest["profile"]["name"] == "basic"
    assert len(folders.rows("uid_mapping.csv")) == 1 + 1 + 3
    told = folders(out=folders.root / "other").stdout
    assert "Not de-identified: 2\n  nobody.dcm: it has no PatientID\n  s/2.dcm: the file ends" in told


def test_names_that_stand_in_one_instance_are_removed_from_all_of_the_study(folders: Folders) -> None:
    folders.put("1", objects.written(objects.image(ReferringPhysicianName=f"{MARKER}q^Anna")))
    other = objects.image(SOPInstanceUID=f"{objects.ROOT}.1.1.2", ManufacturerModelName=f"Scanner {MARKER}q")
    folders.put("2", objects.written(other))
    assert folders("--profile", "research").returncode in (0, 3)
    assert [path for path in outputs(folders) if f"{MARKER}q".encode() in path.read_bytes()] == []


def test_the_same_instance_twice_is_there_once_and_another_under_its_uid_is_refused(folders: Folders) -> None:
    data = ct_instance(Person(1))
    folders.put("a.dcm", data)
    folders.put("b.dcm", data)
    folders.put("c.dcm", b"\x01" * 128 + data[128:])  # another preamble: the same dataset
    other = pydicom.dcmread(folders.source / "a.dcm")
    other.InstanceNumber = 77
    folders.put("d.dcm", objects.written(other))
    done = folders()
    assert done.returncode == 3
    assert "Duplicates left out: 2." in done.stdout
    assert "  d.dcm: another file has the same SOP Instance UID and other content\n" in done.stdout
    assert [pydicom.dcmread(path).InstanceNumber for path in outputs(folders)] == [1]


def test_old_files_without_preamble_are_deidentified(folders: Folders) -> None:
    data = ct_instance(Person(1))
    folders.put("with", data)
    assert folders().returncode == 0
    before = content(folders.out)
    meta = int.from_bytes(data[140:144], "little")
    folders.put("with", data[144 + meta :])
    assert folders(out=folders.root / "other").returncode == 0
    assert content(folders.root / "other") == before


def test_an_undisturbed_run_is_not_done_again(folders: Folders) -> None:
    for number, data in enumerate(ct_study(Person(1), 3)):
        folders.put(str(number), data)
    assert folders.mapped().returncode == 0
    mapping = content(folders.mapping)
    times = {path: path.stat().st_mtime_ns for path in outputs(folders)}
    done = folders.mapped()
    assert done.returncode == 0
    assert "3 instances (3 of them by an earlier run)" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in outputs(folders)} == times
    assert content(folders.mapping) == mapping


def test_an_output_that_was_damaged_or_deleted_is_made_again(folders: Folders) -> None:
    for number, data in enumerate(ct_study(Person(1), 3)):
        folders.put(str(number), data)
    assert folders().returncode == 0
    before = content(folders.out)
    gone, damaged, _ = outputs(folders)
    gone.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    assert "(1 of them by an earlier run)" in folders().stdout
    assert content(folders.out) == before


def test_new_files_of_a_study_that_tell_more_of_its_patient_renew_the_others(folders: Folders) -> None:
    slices = ct_study(Person(1), 3)
    for number, data in enumerate(slices[:2]):
        folders.put(str(number), data)
    folders.put("other", ct_instance(Person(2)))
    assert folders().returncode == 0
    new = pydicom.dcmread(folders.put("2", slices[2]))
    new.OperatorsName = "Somebody^Else"
    folders.put("2", objects.written(new))
    done = folders()
    assert "4 instances (1 of them by an earlier run)" in done.stdout
    assert folders(out=folders.root / "fresh").returncode == 0
    assert content(folders.out) == content(folders.root / "fresh")


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(ct_instance(Person(3))), Path.unlink])
def test_a_source_that_was_changed_or_removed_is_told(folders: Folders, change: Callable[[Path], object]) -> None:
    path = folders.put("1", ct_instance(Person(1)))
    folders.put("2", ct_instance(Person(2)))
    assert folders().returncode == 0
    before = content(folders.out)
    change(path)
    done = folders()
    assert done.returncode == 2
    assert done.stderr.endswith(
        "Error: 1 of the 2 files that were de-identified already were changed, moved or removed since: bring them back,"
        " choose another OUT, or empty this one to start again\n"
    )
    assert content(folders.out) == before


def test_another_profile_or_key_is_told(folders: Folders) -> None:
    folders.put("1", ct_instance(Person(1)))
    assert folders().returncode == 0
    done = folders("--profile", "research")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: OUT holds results of another profile (basic): choose an empty folder" in done.stderr
    (folders.home / "key").write_text("ab" * 32 + "\n")
    done = folders()
    assert done.returncode == 2
    assert "Error: OUT holds results of another key or project" in done.stderr


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(folders: Folders) -> None:
    folders.put("1", ct_instance(Person(1)))
    (folders.out / "P234").mkdir(parents=True)
    done = folders()
    assert done.returncode == 2
    assert "Error: OUT is not empty and was not written by this command" in done.stderr
    (folders.out / "thesis.txt").write_text("mine")
    assert folders().returncode == 2
    assert content(folders.out) == {"thesis.txt": hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--profile", "reserch"), "no profile is called reserch"),
        (("--project", "trial"), "no project is called trial (known: default)"),
        (("--config", "gone.yaml"), "'gone.yaml' does not exist"),
        (("--mapping-dir", "{out}/map"), "--mapping-dir lies inside OUT"),
    ],
)
def test_a_wrong_word_ends_it_before_anything_is_made(folders: Folders, words: tuple[str, ...], told: str) -> None:
    folders.put("1", ct_instance(Person(1)))
    done = folders(*(word.replace("{out}", str(folders.out)) for word in words))
    assert done.returncode == 2
    assert told in done.stderr
    assert not folders.out.exists()
    assert not folders.home.exists()


def test_a_project_and_a_profile_of_ones_own_are_used(folders: Folders) -> None:
    folders.put("1", ct_instance(Person(1)))
    site = folders.root / "site"
    (site / "profiles").mkdir(parents=True)
    (site / "deid.yaml").write_text("projects:\n  - {name: first}\n  - {name: trial}\n")
    (site / "profiles" / "mine.yaml").write_text('name: mine\nversion: "7"\ntitle: of mine\n')
    words = ("--config", str(site / "deid.yaml"), "--profile", "mine", "--mapping-dir", str(folders.mapping))
    assert folders(*words, "--project", "trial").returncode == 0
    patient = Patient("", Person(1).PatientID)
    assert folders.rows("patid_mapping.csv") == {Person(1).PatientID: folders.pseudonyms("trial").patient_id(patient)}
    assert folders(*words, out=folders.root / "other").returncode == 0
    assert folders.rows("patid_mapping.csv") == {Person(1).PatientID: folders.pseudonyms("first").patient_id(patient)}


def test_json_is_for_machines(folders: Folders) -> None:
    folders.put("1", ct_instance(Person(1)))
    folders.put("x.txt", b"text")
    done = folders(before=("--json",))
    told = json.loads(done.stdout)
    assert (told["instances"], told["patients"], told["done_before"]) == (1, 1, 0)
    assert told["files"]["not_dicom"] == [{"path": "x.txt", "reason": "not a DICOM file"}]
    progress = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert progress[-1] == {"progress": "instances worked on", "done": 1, "of": 1}


def test_an_empty_folder_is_done_at_once(folders: Folders) -> None:
    done = folders.mapped()
    assert done.returncode == 0
    assert done.stdout == "De-identified: 0 instances in 0 series, 0 studies, 0 patients.\n"
    assert (folders.mapping / "uid_mapping.csv").read_text() == "id_old,id_new\n"


def noted(folders: Folders) -> bool:
    """Tell whether the journal holds an output: those of a chunk are noted after the last of them is on the disk."""
    return any(len(path.read_bytes().splitlines()) > 1 for path in folders.home.glob("folders/*.jsonl"))


def many(folders: Folders) -> None:
    for person in (1, 2, 3, 4):
        for number, data in enumerate(ct_study(Person(person), 100)):
            folders.put(f"{person}/{number}", data)


def test_killed_in_the_middle_it_goes_on_and_ends_the_same(folders: Folders) -> None:
    many(folders)
    undisturbed = folders.root / "undisturbed"
    assert folders(out=undisturbed).returncode == 0
    running = folders.start()
    wait_for(lambda: len(outputs(folders)) >= 60 and noted(folders), what="some outputs")
    family = children(running.pid)
    running.kill()
    running.communicate(timeout=20)
    wait_for(lambda: not any(map(is_running, family)), what="children end")
    some = content(folders.out)
    whole = content(undisturbed)
    assert 60 <= len(outputs(folders)) < 400
    assert {name: digest for name, digest in some.items() if name.endswith(".dcm")}.items() <= whole.items()
    done = folders.mapped()
    assert done.returncode == 0
    assert "400 instances (" in done.stdout
    assert content(folders.out) == whole


def test_interrupted_it_leaves_whole_files_and_says_how_to_go_on(folders: Folders) -> None:
    many(folders)
    running = folders.start()
    wait_for(lambda: len(outputs(folders)) >= 30 and noted(folders), what="some outputs")
    family = children(running.pid)
    os.killpg(running.pid, signal.SIGINT)
    stdout, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert stdout == ""
    assert stderr.endswith("Stopped. What is in OUT is whole; start the same command again to go on.\n")
    assert "Traceback" not in stderr
    wait_for(lambda: not any(map(is_running, family)), what="children end")
    assert set(content(folders.out)) == {str(path.relative_to(folders.out)) for path in outputs(folders)}
    for path in outputs(folders):
        pydicom.dcmread(path)
    time.sleep(0.1)
    assert "400 instances (" in folders().stdout


def test_one_run_at_a_time_writes_into_a_folder(folders: Folders) -> None:
    many(folders)
    running = folders.start()
    wait_for(lambda: outputs(folders), what="an output")
    running.send_signal(signal.SIGSTOP)
    done = folders()
    running.send_signal(signal.SIGCONT)
    assert done.returncode == 2
    assert "another run writes into OUT" in done.stderr
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert len(outputs(folders)) == 400


def test_without_a_profile_the_project_s_own_is_taken(folders: Folders) -> None:
    folders.put("a.dcm", objects.sample("CT_small.dcm"))
    words = [
        word for word in folders.words("--mapping-dir", str(folders.mapping)) if word not in ("--profile", "basic")
    ]
    done = subprocess.run(words, env=folders.environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert json.loads((folders.mapping / "manifest.json").read_text())["profile"]["name"] == "research"
