"""Watch folders: whole files, junk, cut, packed, twice, growing ones, with Orthanc away and kills in the middle."""

import hashlib
import io
import os
import signal
import subprocess
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from collecting import NAME, Inbox, new_tools
from orthanc_deid.collect.folder import WatchFolder, check
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.lease import Leases
from orthanc_deid.database.origins import Origin
from orthanc_deid.errors import ConfigurationError, Postponed, Retriable
from servers import MAIN, OrthancServer, children, wait_for
from studies import ROOT, Person, ct_instance, ct_study

PERSONS = iter(range(3000, 9000))
NewInbox = Callable[..., Inbox]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc with the door and without processing."""
    refuse = "intake:\n  automatic: false\n  refuse:\n    - name: localizers\n      image_type: LOCALIZER\n"
    with OrthancServer(tmp_path_factory.mktemp("orthanc"), script=MAIN, deid=refuse) as made:
        yield made


@pytest.fixture
def inbox(server: OrthancServer, tmp_path: Path) -> NewInbox:
    return lambda **more: Inbox(server, tmp_path / f"{len(list(tmp_path.iterdir()))}", **more)


def person() -> Person:
    return Person(next(PERSONS))


def stored(server: OrthancServer, who: Person) -> int:
    found = server.post("/tools/find", json={"Level": "Instance", "Query": {"PatientID": who.PatientID}})
    return len(found.json())


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], mode: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]  # any of its modes
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def test_files_of_any_name_in_nested_folders_are_taken_and_archived(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(), person()
    for number, data in enumerate(ct_study(who, 5)):
        box.put(f"a b/ünder/{number}/IM{number}", data)
    box.look()
    assert stored(server, who) == 5
    assert box.tree() == [f".deid/taken/a b/ünder/{number}/IM{number}" for number in range(5)]
    status = box.tools.collected.status(NAME)
    assert (status.taken, status.refused, status.waiting, status.state) == (5, 0, 0, "waiting")


def test_where_a_study_comes_from_is_noted_first_and_never_over_what_a_batch_said(inbox: NewInbox) -> None:
    box, one, two = inbox(project="trial"), person(), person()
    batch = Origin(source="pacs", project="other", pseudonym="X1", hold=True)
    box.tools.origins.note(f"{ROOT}.{two.number}.1", batch)
    box.put("one", ct_instance(one))
    box.put("two", ct_instance(two))
    box.look()
    said = [box.tools.origins.find(f"{ROOT}.{who.number}.1", who.PatientID) for who in (one, two)]
    assert [(each.source, each.project, each.hold) for each in said if each] == [
        (NAME, "trial", False),
        ("pacs", "other", True),
    ]


@pytest.mark.parametrize("pack", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archives_are_looked_into(server: OrthancServer, inbox: NewInbox, pack: str) -> None:
    box, who = inbox(), person()
    files = {f"cd/{number}": data for number, data in enumerate(ct_study(who, 3))} | {"cd/viewer.exe": b"MZ" * 99}
    content = zipped(files) if pack == "zip" else tarred(files, f"w:{pack.partition('.')[2]}")
    box.put(f"study.{pack}", content)
    box.look()
    assert stored(server, who) == 3
    assert box.tree() == [f".deid/taken/study.{pack}"]
    assert not list(box.tools.work.glob("*"))


def test_bad_files_go_to_their_places_with_a_reason_that_names_nobody(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(file_bytes=60_000), person()
    good = ct_instance(who)
    locked = bytearray(zipped({"1": good}))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    nameless = dcmread(io.BytesIO(good))
    del nameless.StudyInstanceUID
    saved = io.BytesIO()
    nameless.save_as(saved, enforce_file_format=True)
    bad = {
        "not-dicom": b"%PDF-1.7 " * 99,
        "truncated": good[:-100],
        "too-large": good + bytes(60_000),
        "encrypted": bytes(locked),
        "damaged": saved.getvalue(),
        "refused-by-orthanc": good[:132] + b"\x02\x00\x10\x00UI\x04\x001.9\x00" + good[344:],
    }
    for word, content in bad.items():
        box.put(f"{who.PatientID}/{word}", content)
    box.put("empty", b"")
    box.look()
    assert stored(server, who) == 0
    moved = [f".deid/refused/{word}/{who.PatientID}/{word}" for word in bad if word != "refused-by-orthanc"]
    assert set(moved) <= set(box.tree())
    assert ".deid/refused/not-dicom/empty" in box.tree()
    assert len(box.tree()) == 2 * (len(bad) + 1)  # each with its reason
    for file in box.path.rglob("*.reason.txt"):
        assert not any(marker in file.read_text() for marker in who.markers)
    assert box.tools.collected.status(NAME).refused == len(bad) + 1


def test_what_orthanc_itself_refuses_is_told_so(inbox: NewInbox) -> None:
    box = inbox()
    ds = dcmread(io.BytesIO(ct_instance(person())))
    del ds.SOPInstanceUID
    content = io.BytesIO()
    ds.save_as(content)
    box.put("file", content.getvalue())
    box.look()
    assert box.tree() == [".deid/refused/refused-by-orthanc/file", ".deid/refused/refused-by-orthanc/file.reason.txt"]


def test_a_file_without_preamble_is_taken(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(), person()
    box.put("bare", ct_instance(who)[132:])
    box.look()
    assert stored(server, who) == 1


def test_a_mixed_archive_gives_what_is_good_and_lists_the_rest(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(after="delete"), person()
    one, two = ct_study(who, 2)
    box.put("mixed.zip", zipped({"readme": b"text", "1": one, "2": two[:-50]}))
    box.look()
    assert stored(server, who) == 1
    assert box.tree() == [".deid/taken/mixed.zip", ".deid/taken/mixed.zip.reason.txt"]  # it holds what Orthanc does not
    assert box.reason("mixed.zip").splitlines() == [
        "file 3 of the archive: truncated: it ends in the middle of its pixels",
        "1: no DICOM",
    ]


def test_an_archive_of_which_nothing_is_taken_is_refused(inbox: NewInbox) -> None:
    box = inbox()
    box.put("bad.zip", zipped({"1": ct_instance(person())[:-50]}))
    box.put("none.zip", zipped({"readme": b"text"}))
    box.put("inner.zip", zipped({"zip": zipped({"1": ct_instance(person())})}))
    box.look()
    places = [name for name in box.tree() if name.endswith(".zip")]
    assert places == [
        ".deid/refused/not-dicom/inner.zip",
        ".deid/refused/not-dicom/none.zip",
        ".deid/refused/truncated/bad.zip",
    ]


def test_duplicates_have_a_place_of_their_own(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(), person()
    one, two = ct_study(who, 2)
    server.upload(one)
    box.put("again", one)
    box.put("again.zip", zipped({"1": one}))
    box.put("more.zip", zipped({"1": one, "2": two}))
    box.look()
    assert stored(server, who) == 2
    assert box.tree() == [".deid/duplicates/again", ".deid/duplicates/again.zip", ".deid/taken/more.zip"]


def test_one_name_twice_a_day_replaces_nothing(inbox: NewInbox) -> None:
    box, who = inbox(), person()
    for data in ct_study(who, 3):
        box.put("same", data)
        box.look()
    assert box.tree() == [".deid/taken/same", ".deid/taken/same.2", ".deid/taken/same.3"]
    assert len({path.read_bytes() for path in box.path.rglob("same*")}) == 3


def test_delete_leaves_only_what_orthanc_does_not_hold(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(after="delete"), person()
    plain, localizer = ct_study(who, 2)
    ds = dcmread(io.BytesIO(localizer))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    content = io.BytesIO()
    ds.save_as(content)
    box.put("plain", plain)
    box.put("localizer", content.getvalue())
    box.look()
    assert stored(server, who) == 1
    assert box.tree() == [".deid/taken/localizer", ".deid/taken/localizer.reason.txt"]
    assert "kept out by a rule" in box.reason("localizer")


def test_keep_moves_nothing_and_takes_each_once(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(after="keep"), person()
    files = ct_study(who, 3)
    for number, data in enumerate(files[:2]):
        box.put(f"{number}", data)
    box.look()
    assert box.tree() == ["0", "1"]
    assert box.tools.collected.status(NAME).taken == 2
    again = WatchFolder(box.settings, box.tools)
    assert not again.look()
    box.put("1", files[2])
    box.look()
    assert stored(server, who) == 3
    assert box.tools.collected.status(NAME).taken == 3


def test_names_that_are_ignored_wait_until_they_are_renamed(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(), person()
    one, two = ct_study(who, 2)
    (box.path / "acc.tmp").mkdir()
    (box.path / "acc.tmp" / "1").write_bytes(one)
    (box.path / "2.part").write_bytes(two)
    box.look()
    assert stored(server, who) == 0
    (box.path / "acc.tmp").rename(box.path / "acc")
    (box.path / "2.part").rename(box.path / "2")
    box.look()
    assert box.tree() == [".deid/taken/2", ".deid/taken/acc/1"]


def test_a_file_that_grows_is_left_alone(inbox: NewInbox) -> None:
    box, who = inbox(settle_s=0.6), person()
    data = ct_instance(who)
    path = box.path / "growing"
    for end in range(1000, len(data) + 500, 1000):
        path.write_bytes(data[:end])
        box.look()
        time.sleep(0.25)
    path.write_bytes(data)
    box.look()
    assert box.tools.collected.status(NAME).waiting == 1
    time.sleep(0.7)
    box.look()
    assert box.tree() == [".deid/taken/growing"]


def test_a_new_file_wakes_it_and_is_taken_as_soon_as_it_has_settled(inbox: NewInbox) -> None:
    box = inbox(settle_s=0.3, notify=True)
    box.look()
    began = time.monotonic()
    threading.Timer(0.4, lambda: box.put("new/file", ct_instance(person()))).start()
    while not box.tree() or "taken" not in box.tree()[0]:
        if not box.collector.look():
            box.collector.wait(30)
        assert time.monotonic() - began < 5
    assert time.monotonic() - began < 3


def test_links_are_not_followed(server: OrthancServer, inbox: NewInbox, tmp_path: Path) -> None:
    box, who = inbox(), person()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1").write_bytes(ct_instance(who))
    (box.path / "link").symlink_to(outside / "1")
    (box.path / "folder").symlink_to(outside)
    os.mkfifo(box.path / "fifo")
    box.look()
    assert stored(server, who) == 0


def directory(folder: Path, files: list[bytes]) -> None:
    """Write a DICOMDIR with its files."""
    made = FileSet()
    for data in files:
        made.add(dcmread(io.BytesIO(data)))
    made.write(folder)
    made._stage["t"].cleanup()  # noqa: SLF001  # it warns otherwise


def test_the_files_of_a_dicomdir_are_taken_and_missing_ones_are_told(
    server: OrthancServer, inbox: NewInbox, tmp_path: Path
) -> None:
    box, who = inbox(), person()
    directory(tmp_path / "cd", ct_study(who, 3))
    (tmp_path / "cd").rename(box.path / "whole")
    directory(tmp_path / "cd", ct_study(who, 3, study=2))
    next(path for path in sorted((tmp_path / "cd").rglob("*")) if path.is_file() and path.name != "DICOMDIR").unlink()
    (tmp_path / "cd").rename(box.path / "part")
    box.look()
    assert stored(server, who) == 5
    assert not [name for name in box.tree() if not name.startswith(".deid/taken/")]
    reasons = [name for name in box.tree() if name.endswith(".reason.txt")]
    assert reasons == [".deid/taken/part/DICOMDIR.reason.txt"]
    assert box.reason("DICOMDIR") == "the DICOMDIR names 3 instances, 1 of them are not in Orthanc\n"


def test_a_dicomdir_in_an_archive_is_compared_too(inbox: NewInbox, tmp_path: Path) -> None:
    box = inbox()
    directory(tmp_path / "cd", ct_study(person(), 2))
    files = {
        str(path.relative_to(tmp_path)): path.read_bytes() for path in (tmp_path / "cd").rglob("*") if path.is_file()
    }
    lost = next(name for name in files if not name.endswith("DICOMDIR"))
    box.put("cd.zip", zipped({name: data for name, data in files.items() if name != lost}))
    box.look()
    assert box.reason("cd.zip") == "the DICOMDIR names 2 instances, 1 of them are not in Orthanc\n"


def test_while_orthanc_is_away_files_wait(tmp_path: Path) -> None:
    server = OrthancServer(tmp_path / "orthanc")
    box, who = Inbox(server, tmp_path / "box"), person()
    box.put("file", ct_instance(who))
    with pytest.raises(Retriable):
        box.look()
    assert box.tree() == ["file"]
    with server:
        box.look()
    assert box.tree() == [".deid/taken/file"]


def test_a_pause_ends_a_look_and_nothing_is_lost(server: OrthancServer, tmp_path: Path) -> None:
    box, who = Inbox(server, tmp_path / "box"), person()
    box.put("file", ct_instance(who))

    def paused() -> None:
        raise Postponed("waits: paused by a person", 3600)

    tools = new_tools(server, tmp_path / "other", demand_open=paused)
    with pytest.raises(Postponed):
        WatchFolder(box.settings, tools).look()
    assert box.tree() == ["file"]


def test_a_folder_that_is_away_is_told(inbox: NewInbox) -> None:
    box = inbox(must_be_mount=True)
    with pytest.raises(Retriable, match="not mounted"):
        box.look()
    box.path.rmdir()
    with pytest.raises(Retriable, match="not there"):
        check(box.settings)


@pytest.mark.skipif(not Path("/bin/mount").exists() or os.geteuid() != 0, reason="needs root to mount")
def test_a_read_only_share_works_with_keep_alone(server: OrthancServer, inbox: NewInbox) -> None:
    box, who = inbox(), person()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(box.path)]
    if subprocess.run(words, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        box.put("good", ct_instance(who))
        box.put("bad", b"junk")
        subprocess.run(["mount", "-o", "remount,ro", str(box.path)], timeout=10, check=True)
        with pytest.raises(ConfigurationError, match="after: keep"):
            box.look()
        kept = WatchFolder(box.settings.model_copy(update={"after": "keep"}), box.tools)
        assert kept.look()
        assert not kept.look()
        assert stored(server, who) == 1
        status = box.tools.collected.status(NAME)
        assert (status.taken, status.refused) == (1, 1)
    finally:
        subprocess.run(["umount", "--lazy", str(box.path)], timeout=10, check=True)


def test_old_days_are_deleted_by_their_age(inbox: NewInbox) -> None:
    box = inbox(taken_days=7, refused_days=1)
    today = datetime.now(UTC).date()
    for folder in ("taken", "duplicates", "refused/damaged"):
        for days in (0, 1, 3, 30):
            where = box.path / ".deid" / folder / str(today - timedelta(days=days))
            where.mkdir(parents=True)
            (where / "file").write_bytes(b"x")
        (box.path / ".deid" / folder / "not a day").mkdir()
    box.look()
    left = {folder: len(list((box.path / ".deid" / folder).glob("*/file"))) for folder in ("taken", "duplicates")}
    assert left == {"taken": 3, "duplicates": 3}
    assert len(list((box.path / ".deid/refused/damaged").glob("*/file"))) == 2
    assert len(list((box.path / ".deid").rglob("not a day"))) == 3


def test_no_path_reaches_the_database_or_a_log(
    inbox: NewInbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = "Vorgelmund-19630417"
    box = inbox(after="keep")
    box.put(f"{marker}/good-{marker}", ct_instance(person()))
    box.put(f"bad-{marker}.zip", zipped({marker: b"junk"}))
    box.look()
    for path in (tmp_path).rglob("deid.sqlite*"):
        assert marker.encode() not in path.read_bytes()
    assert marker not in caplog.text
    assert all(marker not in path.read_text() for path in box.path.rglob("*.reason.txt"))


def test_two_machines_do_not_collect_one_source_twice(database_url: str) -> None:
    database = open_database(database_url)
    migrate(database)
    one, two = Leases(database), Leases(open_database(database_url))
    assert one.take("inbox")
    assert one.take("inbox")
    on_postgresql = database.dialect.name == "postgresql"
    assert two.take("inbox") is not on_postgresql
    assert two.take("other")
    one.drop("inbox")
    assert two.take("inbox")
    two.close()
    assert one.take("other")
    one.close()


def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    who = person()
    files = ct_study(who, 120)
    for number, data in enumerate(files):
        path = folder / f"{number % 7}" / f"IM{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    deid = f"""
intake: {{automatic: false}}
sources:
  - {{name: inbox, kind: folder, path: {folder}, settle_s: 0, poll_s: 0.2}}
"""
    with OrthancServer(tmp_path / "orthanc", script=MAIN, deid=deid) as server:
        kills = 0
        end = time.monotonic() + 60
        while kills < 2 and time.monotonic() < end:
            time.sleep(0.1)
            (pid,) = _collectors(server) or [0]
            if pid and len(list(folder.glob(".deid/taken/*/*/IM*"))) > 20 * kills:
                os.kill(pid, signal.SIGKILL)
                kills += 1
        wait_for(lambda: not list(folder.glob("?/IM*")), 60, "everything is taken")
        wait_for(lambda: server.get("/deid/sources/inbox").json()["state"] == "waiting", 20)
        told = server.get("/deid/sources").json()["items"]
        assert stored(server, who) == 120
        paused = server.post("/deid/sources/inbox/pause").json()
        checked = server.post("/deid/sources/inbox/check").json()
        (folder / "late").write_bytes(ct_instance(who, number=500))
        wait_for(lambda: server.get("/deid/sources/inbox").json()["state"] == "paused", 20)
        assert (folder / "late").exists()
        server.post("/deid/sources/inbox/resume")
        wait_for(lambda: not (folder / "late").exists(), 20)
        assert server.get("/deid/sources/nobody").status_code == 404
        assert str(folder) not in server.log()
        assert "IM1" not in server.log()
    moved = [path for path in folder.rglob("*") if path.is_file()]
    assert len(moved) == 121
    assert {hashlib.sha256(path.read_bytes()).digest() for path in moved} >= {hashlib.sha256(d).digest() for d in files}
    assert told[0]["name"] == "inbox"
    assert told[0]["taken"] >= 60  # what was taken just before a kill is not counted
    assert paused["paused"]
    assert checked == {"ok": True, "detail": "folder, can be read and written"}


def _collectors(server: OrthancServer) -> list[int]:
    found = []
    for pid in children(server.pid):
        words = _words(pid)
        if "orthanc_deid.collect" in words:
            found.append(pid)
    return found


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_a_large_file_is_sent_from_where_it_stands(server: OrthancServer, inbox: NewInbox) -> None:
    box = inbox()
    ds = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    ds.PatientID, ds.Rows, ds.Columns = "LARGE", 4096, 1500
    ds.PixelData = bytes(2 * 4096 * 1500)
    ds.save_as(box.path / "large")
    assert (box.path / "large").stat().st_size > 2**23
    box.look()
    assert box.tree() == [".deid/taken/large"]
    found: list[Any] = server.post("/tools/find", json={"Level": "Instance", "Query": {"PatientID": "LARGE"}}).json()
    assert len(found) == 1
