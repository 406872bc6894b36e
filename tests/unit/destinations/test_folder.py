"""The kind `folder`: a study appears as a whole, late files one by one, nothing where there is no room."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_deid.destinations.base import Converted, Shipment
from orthanc_deid.destinations.files.folder import FolderDestination
from orthanc_deid.errors import Postponed, Rejected, Retriable
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings.files import Folder
from servers import OrthancServer
from shipments import FileJournal, FixedResults, NoPace, client, make_shipment
from studies import Person, ct_instance

PERSONS = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc for studies."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    server.start()
    yield server
    server.kill()


def load(orthanc: OrthancServer, person: Person, *numbers: int) -> str:
    """Store slices and return the Orthanc id of their study."""
    return [str(orthanc.upload(ct_instance(person, number=n)).json()["ParentStudy"]) for n in numbers][-1]


def person() -> Person:
    """Return somebody whom no other test has."""
    return Person(next(PERSONS))


def folder(path: Path, **more: object) -> FolderDestination:
    """Return the destination, in a folder that is there."""
    path.mkdir(exist_ok=True)
    values = {"name": "share", "kind": "folder", "path": path, "keep_free_bytes": 0, **more}
    return FolderDestination(Folder.model_validate(values, strict=False), Orthanc.__new__(Orthanc))


def files(path: Path) -> dict[str, bytes]:
    """Return all that is below, hidden or not."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def dicom(path: Path) -> list[bytes]:
    """Return the DICOM files below."""
    return sorted(content for name, content in files(path).items() if name.endswith(".dcm"))


def expected(shipment: Shipment) -> list[bytes]:
    """Return what Orthanc holds."""
    return sorted(shipment.orthanc.file(i) for i in shipment.all)


def test_a_study_appears_as_a_whole_and_not_before_the_last_file(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), 1, 2, 3)
    out = tmp_path / "out"
    store = folder(out)
    with pytest.raises(Postponed):
        store.send(make_shipment(tmp_path, orthanc, study, pace=NoPace(until=4000)))
    visible = [path for path in out.rglob("*") if not any(part.startswith(".") for part in path.relative_to(out).parts)]
    assert not [path for path in visible if path.is_file()]
    with pytest.raises(Retriable):
        store.confirm(make_shipment(tmp_path, orthanc, study))
    shipment = make_shipment(tmp_path, orthanc, study)
    store.send(shipment)
    assert shipment.pace.calls == 2  # type: ignore[attr-defined]  # the last file and the manifest
    assert dicom(out) == expected(shipment)
    assert not [name for name in files(out) if ".tmp-" in name]
    assert store.confirm(shipment) == 3


def test_late_files_go_into_the_folder_that_is_there(orthanc: OrthancServer, tmp_path: Path) -> None:
    somebody = person()
    out = tmp_path / "out"
    store = folder(out)
    first = make_shipment(tmp_path, orthanc, load(orthanc, somebody, 1, 2))
    store.send(first)
    load(orthanc, somebody, 3)
    late = make_shipment(tmp_path, orthanc, first.output, version=2)
    late = replace(late, new=[i for i in late.all if i not in first.all])
    store.send(late)
    assert late.pace.calls == 2  # type: ignore[attr-defined]  # the file and the manifest
    assert dicom(out) == expected(late)
    assert store.confirm(late) == 3
    manifest = json.loads(next(out.rglob("manifest.json")).read_text())
    assert sorted(each["version"] for each in manifest["files"]) == [1, 1, 2]
    assert manifest["count"] == 3


def test_the_folder_itself_is_never_made(orthanc: OrthancServer, tmp_path: Path) -> None:
    store = folder(tmp_path / "out")
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1))
    (tmp_path / "out").rmdir()
    for call in (store.check, lambda: store.send(shipment), lambda: store.confirm(shipment)):
        with pytest.raises(Retriable, match="is its share mounted"):
            call()
    assert not (tmp_path / "out").exists()


def test_a_folder_that_must_be_a_mount_point_and_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Retriable, match="not a mount point"):
        folder(tmp_path / "out", must_be_mount=True).check()


def test_nothing_is_written_where_the_disk_has_no_room(orthanc: OrthancServer, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    store = folder(tmp_path / "out", keep_free_bytes=free * 2)
    with pytest.raises(Retriable, match=r"no room: \d+ of \d+ bytes are missing"):
        store.send(make_shipment(tmp_path, orthanc, load(orthanc, person(), 1)))
    assert not files(tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Answer a mounted file system of 64 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(words, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", str(path)], timeout=10, check=True)


def test_a_disk_that_fills_up_in_the_middle_keeps_what_is_there_for_later(
    orthanc: OrthancServer, tmp_path: Path, small_disk: Path
) -> None:
    study = load(orthanc, person(), *range(1, 7))
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 48_000)
    store = folder(small_disk, must_be_mount=True)
    full = make_shipment(tmp_path, orthanc, study, new=[])  # the estimate is deceived: the disk fills meanwhile
    with pytest.raises(Retriable, match="disk is full"):
        store.send(full)
    journal = FileJournal(tmp_path / "journal.json")
    assert 0 < len(journal) < 6
    filler.unlink()
    shipment = make_shipment(tmp_path, orthanc, study)
    store.send(shipment)
    assert dicom(small_disk) == expected(shipment)
    assert store.confirm(shipment) == 6


@pytest.mark.skipif(not os.geteuid(), reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    store = folder(tmp_path / "out")
    (tmp_path / "out").chmod(0o500)
    with pytest.raises(Retriable, match="permissions"):
        store.check()


def test_modes_are_those_of_the_settings_whatever_the_umask(orthanc: OrthancServer, tmp_path: Path) -> None:
    store = folder(tmp_path / "out", file_mode="604", folder_mode="715")
    before = os.umask(0o077)
    try:
        store.send(make_shipment(tmp_path, orthanc, load(orthanc, person(), 1)))
    finally:
        os.umask(before)
    found = list((tmp_path / "out").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o604}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o715}


@pytest.mark.parametrize("read_back", ["size", "hash"])
def test_what_is_lost_or_altered_is_found(orthanc: OrthancServer, tmp_path: Path, read_back: str) -> None:
    store = folder(tmp_path / "out", read_back=read_back)
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    store.send(shipment)
    one, two = (tmp_path / "out").rglob("*.dcm")
    one.unlink()
    two.write_bytes(b"x" * two.stat().st_size if read_back == "hash" else b"x")
    with pytest.raises(Retriable, match="0 of 2 files"):
        store.confirm(shipment)


def test_a_manifest_that_was_altered_confirms_nothing(orthanc: OrthancServer, tmp_path: Path) -> None:
    store = folder(tmp_path / "out")
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1))
    store.send(shipment)
    manifest = next((tmp_path / "out").rglob("manifest.json"))
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(Retriable, match="manifest"):
        store.confirm(shipment)
    store.send(shipment)
    assert store.confirm(shipment) == 1


def test_a_study_of_one_name_does_not_overwrite_another(orthanc: OrthancServer, tmp_path: Path) -> None:
    store = folder(tmp_path / "out", names="{Modality}/{InstanceNumber}.dcm")
    one = make_shipment(tmp_path / "one", orthanc, load(orthanc, person(), 1))
    store.send(one)
    with pytest.raises(Rejected, match="another study"):
        store.send(make_shipment(tmp_path / "two", orthanc, load(orthanc, person(), 1)))
    assert dicom(tmp_path / "out") == expected(one)


def test_a_study_that_was_deidentified_anew_takes_the_place_of_what_it_was(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    store = folder(out, content=("dicom", "zip"), names={"dicom": "{PatientID}/{StudyDate}/{InstanceNumber}.dcm"})
    first = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    store.send(first)
    gone = next(i for i in first.all)
    orthanc.request("DELETE", f"/instances/{gone}")
    (tmp_path / "journal.json").unlink()  # the ledger forgets its receipts
    anew = make_shipment(tmp_path, orthanc, first.output, version=2)
    store.send(anew)
    assert dicom(out) == expected(anew)
    assert store.confirm(anew) == 1
    assert [path.name.endswith("_v2.zip") for path in out.rglob("*.zip")] == [True]


def test_changed_conversions_take_the_place_of_the_older_ones(orthanc: OrthancServer, tmp_path: Path) -> None:
    out, made = tmp_path / "out", tmp_path / "made"
    made.mkdir()
    first = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    series = first.orthanc.series(first.output)[0]["ID"]
    paths = [made / name for name in ("a.nii.gz", "a.json", "b.nii.gz")]
    for path in paths:
        path.write_text(path.name)
    store = folder(out, content=("nifti",))
    first = replace(first, results=FixedResults([Converted(series, tuple(paths))]))
    store.send(first)
    assert store.confirm(first) == 2
    paths[0].write_text("changed")
    later = replace(first, results=FixedResults([Converted(series, tuple(paths[:2]))]), version=2, pace=NoPace())
    store.send(later)
    assert later.pace.calls == 2  # type: ignore[attr-defined]  # what has changed and the manifest
    held = {Path(name).name: content for name, content in files(out).items()}
    assert held.keys() == {"a.nii.gz", "a.json", "manifest.json"}
    assert held["a.nii.gz"] == b"changed"
    assert store.confirm(later) == 2


SENDER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from orthanc_deid.destinations.files.folder import FolderDestination
from orthanc_deid.orthanc_rest import Address, Orthanc
from orthanc_deid.settings.files import Folder
from shipments import make_shipment
orthanc = Orthanc(Address(sys.argv[2], sys.argv[3]))
settings = Folder.model_validate({"name": "f", "kind": "folder", "path": sys.argv[4] + "/out"}, strict=False)
FolderDestination(settings, orthanc).send(make_shipment(Path(sys.argv[4]), orthanc, sys.argv[5]))
"""


def test_a_process_that_is_killed_leaves_what_the_next_one_finishes(orthanc: OrthancServer, tmp_path: Path) -> None:
    study = load(orthanc, person(), *range(1, 31))
    store = folder(tmp_path / "out")
    address = client(orthanc).address
    words = [json.dumps(sys.path), address.url, address.authorization or "", str(tmp_path), study]
    journal = FileJournal(tmp_path / "journal.json")
    for count in (3, 15):
        with subprocess.Popen([sys.executable, "-c", SENDER, *words]) as process:
            end = time.monotonic() + 60
            while len(journal) < count and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.002)
            process.kill()
    shutil.rmtree(tmp_path / "work")
    shipment = make_shipment(tmp_path, orthanc, study)
    store.send(shipment)
    assert dicom(tmp_path / "out") == expected(shipment)
    assert not [name for name in files(tmp_path / "out") if ".tmp-" in name]
    assert store.confirm(shipment) == 30


def test_what_is_staged_and_not_yet_in_its_place_is_not_confirmed(orthanc: OrthancServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    store = folder(out)
    shipment = make_shipment(tmp_path, orthanc, load(orthanc, person(), 1, 2))
    store.send(shipment)
    (study,) = (path.parent for path in out.rglob("manifest.json"))
    mark = hashlib.sha256(shipment.output.encode()).hexdigest()[:12]
    study.rename(study.with_name(f".{study.name}.tmp-{mark}"))  # as a process leaves it that is killed before the end
    with pytest.raises(Retriable, match="manifest"):
        store.confirm(shipment)
    again = replace(shipment, pace=NoPace())
    store.send(again)
    assert again.pace.bytes_sent == 0  # type: ignore[attr-defined]  # of NoPace
    assert store.confirm(shipment) == 2
    assert dicom(out) == expected(shipment)
