"""Content `bids` of a folder: studies are merged into one dataset, whenever and however often they come."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from made_series import converted
from orthanc_deid.destinations.base import Shipment
from orthanc_deid.destinations.files.folder import FolderDestination
from orthanc_deid.errors import Postponed, Rejected, Retriable
from orthanc_deid.formats import bids, tables
from orthanc_deid.formats.bids import BidsSeries
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.settings import bids as settings
from orthanc_deid.settings.files import Folder
from shipments import FileJournal, FixedResults, NoPace

FOLDER = Path(__file__).resolve().parents[3] / "orthanc-config/bids"
RULES = settings.rules(settings.Bids(), settings.template("default", [FOLDER]))
NOWHERE = Orthanc.__new__(Orthanc)  # none is asked


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Answer a maker of BIDS trees of one study: its series are converted once."""
    series: dict[tuple[str, str, int], BidsSeries] = {}

    def tree(subject: str, *numbers: int, session: str = "1", changed: bool = False) -> Path:
        for n in numbers:
            if (subject, session, n) not in series or changed:
                values = {"subject": subject, "session": session, "EchoTime": 0.004 if changed else 0.003}
                out = tmp_path / ("changed" if changed else "converted")
                series[subject, session, n] = converted(out, n, "t1_mprage_sag", **values)  # type: ignore[arg-type]
        place = tmp_path / f"tree-{subject}-{session}-{len(numbers)}{changed}"
        return bids.tree([series[subject, session, n] for n in numbers], place, RULES)

    return tree


def shipment(tmp_path: Path, tree: Path, pace: NoPace | None = None, seconds: float = 5) -> Shipment:
    """Return a study whose conversions are that tree."""
    (tmp_path / "work").mkdir(exist_ok=True)
    return Shipment(
        41, 1, "trial", f"output of {tree.name}", ["one"], ["one"], NOWHERE, FixedResults(bids_folder=tree),
        FileJournal(tmp_path / "journal.json"), pace or NoPace(), tmp_path / "work", seconds,
    )  # fmt: skip


def folder(path: Path, **more: object) -> FolderDestination:
    """Return the destination, in a folder that is there."""
    path.mkdir(exist_ok=True)
    values = {"name": "share", "kind": "folder", "path": path, "keep_free_bytes": 0, "content": ["bids"], **more}
    return FolderDestination(Folder.model_validate(values, strict=False), NOWHERE)


def contents(path: Path) -> dict[str, bytes]:
    """Return all files below, hidden or not, but the lock."""
    found = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in found.items() if not name.endswith(".lock")}


def images(path: Path) -> list[str]:
    """Return the names of all images."""
    return sorted(name for name in contents(path) if name.endswith(".nii.gz"))


def test_all_studies_are_in_one_dataset(tmp_path: Path, made: Callable[..., Path]) -> None:
    store, out = folder(tmp_path / "out"), tmp_path / "out"
    sent = [
        shipment(tmp_path, made("A1", 1, 2)),
        shipment(tmp_path, made("B2", 1)),
        shipment(tmp_path, made("A1", 1, session="2")),
    ]
    for each in sent:
        with pytest.raises(Retriable, match="are in the BIDS dataset"):
            store.confirm(each)
        store.send(each)
        assert store.confirm(each) == 1
    dataset = out / "bids" / "trial"
    assert images(dataset) == [
        "sub-A1/ses-1/anat/sub-A1_ses-1_run-01_T1w.nii.gz",
        "sub-A1/ses-1/anat/sub-A1_ses-1_run-02_T1w.nii.gz",
        "sub-A1/ses-2/anat/sub-A1_ses-2_T1w.nii.gz",
        "sub-B2/ses-1/anat/sub-B2_ses-1_T1w.nii.gz",
    ]
    assert [row["participant_id"] for row in tables.read(dataset / "participants.tsv", ()).rows] == ["sub-A1", "sub-B2"]
    assert [store.confirm(each) for each in sent] == [1, 1, 1]
    assert {path.name for path in (out / "bids").iterdir()} == {"trial", ".trial.lock"}


def test_the_same_study_again_changes_nothing(tmp_path: Path, made: Callable[..., Path]) -> None:
    store, out = folder(tmp_path / "out"), tmp_path / "out"
    first = shipment(tmp_path, made("A1", 1, 2))
    store.send(first)
    before = contents(out)
    again = shipment(tmp_path, made("A1", 1, 2))
    store.send(again)
    assert contents(out) == before
    assert again.pace.calls == 0  # type: ignore[attr-defined]  # of NoPace


def test_a_late_series_joins_those_that_are_there(tmp_path: Path, made: Callable[..., Path]) -> None:
    store, out = folder(tmp_path / "out"), tmp_path / "out"
    store.send(shipment(tmp_path, made("A1", 1)))
    late = shipment(tmp_path, made("A1", 1, 2))
    with pytest.raises(Retriable):
        store.confirm(late)
    store.send(late)
    assert store.confirm(late) == 1
    assert len(images(out)) == 2
    changed = shipment(tmp_path, made("A1", 1, 2, changed=True))
    store.send(changed)
    assert store.confirm(changed) == 1
    assert len(images(out)) == 2
    sidecars = [json.loads(text) for name, text in contents(out).items() if name.endswith("_T1w.json")]
    assert {each["EchoTime"] for each in sidecars} == {0.004}


@pytest.mark.parametrize("read_back", ["size", "hash"])
def test_what_is_lost_or_altered_is_found_and_mended(tmp_path: Path, made: Callable[..., Path], read_back: str) -> None:
    store, out = folder(tmp_path / "out", read_back=read_back), tmp_path / "out"
    sent = shipment(tmp_path, made("A1", 1))
    store.send(sent)
    before = contents(out)
    for name in before:
        path = out / name
        if not name.endswith((".nii.gz", "T1w.json", "scans.tsv", "participants.tsv")):
            continue
        if name.endswith(".tsv"):
            path.write_text(path.read_text().splitlines()[0] + "\n")
        else:
            path.write_bytes(b"x" * (len(before[name]) if read_back == "hash" else 1))
        with pytest.raises(Retriable, match="parts of the study are in the BIDS dataset"):
            store.confirm(sent)
        store.send(sent)
        assert store.confirm(sent) == 1
    assert contents(out) == before


def test_two_patients_never_become_one(tmp_path: Path, made: Callable[..., Path]) -> None:
    store, out = folder(tmp_path / "out"), tmp_path / "out"
    store.send(shipment(tmp_path, made("A-1", 1)))
    before = contents(out)
    with pytest.raises(Rejected, match="two patients would have one label"):
        store.send(shipment(tmp_path, made("A1", 1)))
    assert contents(out) == before


def test_a_pause_keeps_what_was_copied_and_shows_nothing_of_it(tmp_path: Path, made: Callable[..., Path]) -> None:
    store, out = folder(tmp_path / "out"), tmp_path / "out"
    tree = made("A1", 1, 2)
    with pytest.raises(Postponed):
        store.send(shipment(tmp_path, tree, NoPace(until=1)))
    assert not (out / "bids" / "trial").exists()
    rest = shipment(tmp_path, tree)
    store.send(rest)
    assert rest.pace.calls == len(contents(tree)) - 1  # type: ignore[attr-defined]  # of NoPace
    assert store.confirm(rest) == 1
    assert not [name for name in contents(out) if ".tmp" in name]


def test_modes_are_those_of_the_settings_and_no_file_is_shared(tmp_path: Path, made: Callable[..., Path]) -> None:
    store = folder(tmp_path / "out", file_mode="604", folder_mode="715")
    before = os.umask(0o077)
    try:
        for tree in (made("A1", 1), made("A1", 1, 2)):
            store.send(shipment(tmp_path, tree))
    finally:
        os.umask(before)
    found = [path for path in (tmp_path / "out").rglob("*") if path.name != ".trial.lock"]
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o604}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o715}
    assert {path.stat().st_nlink for path in found if path.is_file()} == {1}  # a change here changes no conversion


def test_another_study_at_the_dataset_is_waited_for_but_not_for_ever(tmp_path: Path, made: Callable[..., Path]) -> None:
    store = folder(tmp_path / "out")
    store.send(shipment(tmp_path, made("A1", 1)))
    late = made("A1", 1, 2)
    with (tmp_path / "out/bids/.trial.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Retriable, match="other studies are being added"):
            store.send(shipment(tmp_path, late, seconds=0.1))
    store.send(shipment(tmp_path, late))
    assert store.confirm(shipment(tmp_path, late)) == 1


def test_images_without_a_place_are_told(tmp_path: Path) -> None:
    series = [converted(tmp_path / "made", 1, "t1_mprage_sag"), converted(tmp_path / "made", 2, "localizer")]
    sent = shipment(tmp_path, bids.tree(series, tmp_path / "tree", RULES))
    folder(tmp_path / "out").send(sent)
    assert sent.remarks == ["images without a place in the BIDS tree: 1"]


def test_content_of_other_kinds_keeps_its_manifest() -> None:
    one = Folder.model_validate(
        {"name": "f", "kind": "folder", "path": "/", "content": ["dicom", "bids"]}, strict=False
    )
    assert one.merges_bids
    assert one.template("bids") == "bids/{project}"
    each = one.model_copy(update={"bids": "each"})
    assert not each.merges_bids
    assert each.template("bids") == "{PatientID}/{StudyInstanceUID}/bids"


@pytest.mark.parametrize("names", ["{project}/{PatientID}/bids", {"bids": "{StudyInstanceUID}"}])
def test_a_dataset_of_one_study_alone_is_refused(names: object) -> None:
    with pytest.raises(ValidationError, match="one for all studies"):
        folder(Path("/"), names=names)


SENDER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from unit.destinations.test_dataset import folder, shipment
out, tree = Path(sys.argv[2]), Path(sys.argv[3])
folder(out / "out").send(shipment(out, tree))
"""


def test_processes_that_are_killed_leave_what_the_next_one_finishes(tmp_path: Path, made: Callable[..., Path]) -> None:
    first, tree = made("A1", 1), made("A1", *range(1, 30))
    out, calm = tmp_path / "out", tmp_path / "calm"
    for place in (out, calm):
        folder(place).send(shipment(tmp_path, first))
    folder(calm).send(shipment(tmp_path, tree))
    words = [json.dumps([*sys.path, str(Path(__file__).parents[2])]), str(tmp_path), str(tree)]
    for count in (20, 70, 100):  # of files: copied, then merged
        with subprocess.Popen([sys.executable, "-c", SENDER, *words]) as process:
            end = time.monotonic() + 60
            while len(list(out.rglob("*.*"))) < count and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.001)
            process.kill()
    folder(out).send(shipment(tmp_path, tree))
    assert folder(out).confirm(shipment(tmp_path, tree)) == 1
    assert contents(out) == contents(calm)
