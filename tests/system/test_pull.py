"""Batches against real servers: Orthanc asks a PACS, what arrives goes through the pipeline, every row is told."""

import csv
import gc
import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_servers import Dcmqrscp
from lying_pacs import Lies, LyingPacs
from orthanc_deid.steps.subject import orthanc_id
from servers import CHECKOUT, wait_for
from sites import DEID, Site
from studies import ROOT, Person, ct_study

SOURCES = """
sources:
  - {{kind: pacs, name: pacs, ae: PACS, host: 127.0.0.1, port: {port}, arrive_s: 2, concurrency: 4}}
  - {{kind: pacs, name: dcmtk, ae: DCMQR, host: 127.0.0.1, port: {dcmtk}, arrive_s: 2}}
  - {{kind: folder, name: inbox, path: /nowhere}}
"""
NewSite = Callable[..., Site]
People = tuple[int, int, int]  # numbers of three persons whose studies the archive holds
_numbers = count(11, 10)
# A larger list: ORTHANC_DEID_TEST_ROWS=2000; it takes some ten minutes.
ROWS = int(os.environ.get("ORTHANC_DEID_TEST_ROWS", "16"))
KILLS = 3


def uid(person: int, study: int = 1) -> str:
    return f"{ROOT}.{person}.{study}"


class Pull:
    """A site whose clinical Orthanc knows two archives, and the command line."""

    def __init__(
        self, new_site: NewSite, folder: Path, pacs: LyingPacs, dcmtk_port: int = 1, *, automatic: bool = True
    ) -> None:
        ports = {"{port}": pacs.port, "{dcmtk}": dcmtk_port}
        deid = DEID.replace("intake:", f"intake:\n  automatic: {str(automatic).lower()}") + SOURCES
        for name, port in ports.items():
            deid = deid.replace(name, str(port))
        self.site = new_site(deid=deid)
        self.folder = folder
        self.pacs = pacs
        self.dcmtk_port = dcmtk_port
        pacs.known["CLINICAL"] = ("127.0.0.1", self.site.clinical.dicom_port)
        self.site.start()

    def list_of(self, *rows: str, header: str = "StudyInstanceUID", name: str = "list.csv") -> Path:
        path = self.folder / name
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def start(self, *arguments: str | Path | int) -> subprocess.Popen[str]:
        clinical = self.site.clinical
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ORTHANC_DEID_")}
        environment = clean | {"PYTHONPATH": str(CHECKOUT / "plugin"), "ORTHANC_DEID_PASSWORD": clinical.password}
        command = [sys.executable, "-m", "orthanc_deid", "--url", clinical.url, *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __call__(self, *arguments: str | Path | int, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        running = self.start(*arguments)
        stdout, stderr = running.communicate(timeout=seconds)
        return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)

    def json(self, *arguments: str | Path | int) -> Any:  # noqa: ANN401  # JSON
        done = self("--json", *arguments)
        return json.loads(done.stdout)

    def counts(self, batch: int) -> dict[str, int]:
        answer = self.site.clinical.get(f"/deid/batches/{batch}", timeout=30)
        return dict(answer.json()["rows"]) if answer.ok else {}

    def ended(self, batch: int) -> bool:
        counts = self.counts(batch)
        return bool(counts) and not {"queued", "working"} & counts.keys()

    def newest(self) -> int:
        return int(self.site.clinical.get("/deid/batches?limit=1", timeout=30).json()["items"][0]["id"])

    def states(self, batch: int) -> list[str]:
        rows = self.site.clinical.get(f"/deid/batches/{batch}/rows", timeout=30).json()["items"]
        return [row["state"] for row in rows]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pull]:
    """Answer one site for the whole file; each test has patients of its own."""
    folder = tmp_path_factory.mktemp("pull")
    sites: list[Site] = []

    def new_site(**more: Any) -> Site:  # noqa: ANN401  # Site's own arguments
        sites.append(Site(folder / "site", **more))
        return sites[-1]

    archive = Dcmqrscp(folder / "qr", "DCMQR")
    with LyingPacs(ct_study(Person(0), 1)) as pacs:
        made = Pull(new_site, folder, pacs, archive.port)
        with Dcmqrscp(archive.folder, "DCMQR", archive.port, move_to={"CLINICAL": made.site.clinical.dicom_port}):
            yield made
    sites[0].kill()


@pytest.fixture
def pull(shared: Pull, tmp_path: Path) -> Iterator[Pull]:
    shared.folder = tmp_path
    shared.pacs.lies = Lies()
    shared.pacs.moves.clear()
    shared.pacs.finds.clear()
    shared.pacs.sent.clear()
    yield shared
    shared.pacs.lies = Lies()


@pytest.fixture
def people(shared: Pull) -> People:
    """Answer the numbers of three patients that the archive holds a study of, and nobody else has."""
    first = next(_numbers)
    numbers = (first, first + 1, first + 2)
    shared.pacs.add(*(file for n in numbers for file in ct_study(Person(n), 4)))
    return numbers


def test_a_list_is_fetched_processed_and_reported_row_by_row(pull: Pull, people: People) -> None:
    one, two, _ = people
    listed = pull.list_of(uid(one), uid(one + 8), uid(two), uid(one))
    done = pull("pull", listed, "--from", "pacs", "--report", pull.folder / "report.csv")
    assert done.returncode == 3, done.stderr
    assert "rows: 2 delivered, 1 duplicate, 1 not-found" in done.stdout
    assert "line 3: not-found: the archive has no study of this kind" in done.stdout
    report = pull.folder / "report.csv"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(report.read_text())))
    # Whichever of the first and the last row is looked at first fetches the study that both name.
    assert sorted(rows[n]["State"] for n in (0, 3)) == ["delivered", "duplicate"]
    assert [(r["Line"], r["State"], r["Expected"], r["Arrived"]) for r in rows[1:3]] == [
        ("3", "not-found", "0", "0"),
        ("4", "delivered", "4", "4"),
    ]
    for row in (each for each in rows if each["State"] == "delivered"):
        found = pull.site.await_status(row["OrthancStudy"], "done")
        assert len(pull.site.arrived(found["output"])) == 4
    again = pull("pull", listed, "--from", "pacs")
    assert "3 duplicate, 1 not-found" in again.stdout
    assert sorted(asked.keys["StudyInstanceUID"] for asked in pull.pacs.moves) == [uid(one), uid(two)]


def test_success_with_missing_images_is_partial_and_they_are_asked_for_again(pull: Pull, people: People) -> None:
    one = people[0]
    withheld = f"{uid(one)}.1.3"
    pull.pacs.lies.withheld = frozenset({withheld})
    done = pull("pull", pull.list_of(uid(one)), "--from", "pacs", "--report", pull.folder / "report.csv")
    assert done.returncode == 3
    assert "line 2: partial: 3 of 4 instances" in done.stdout
    (row,) = csv.DictReader(io.StringIO((pull.folder / "report.csv").read_text()))
    assert row["MissingSOPInstanceUIDs"] == withheld
    assert len(pull.pacs.moves) == 3
    assert pull.pacs.sent.count(f"{uid(one)}.1.1") == 1  # what had arrived was not asked for again
    pull.pacs.lies.withheld = frozenset()
    assert pull("batches", "retry", pull.newest()).returncode == 0
    wait_for(lambda: pull.states(pull.newest()) == ["delivered"], 30, "the rest arrives")
    assert pull.site.await_status(row["OrthancStudy"], "done", version=1)


def test_a_mistake_in_the_list_is_named_before_anything_is_asked(pull: Pull, people: People) -> None:
    one = people[0]
    listed = pull.list_of("20200615,*", "2020-13-45,Doe", header="StudyDate,PatientNam")
    done = pull("pull", listed, "--from", "pacs")
    assert done.returncode == 1
    assert "PatientName" in done.stderr
    assert "line 3" in done.stderr
    assert pull.pacs.finds == []
    wrong = pull("pull", pull.list_of(uid(one)), "--from", "pax")
    assert "no archive is called pax (known: pacs, dcmtk)" in wrong.stderr
    folder = pull("pull", pull.list_of(uid(one)), "--from", "inbox")
    assert "only a pacs or dicomweb source can be asked" in folder.stderr


def test_a_dry_run_asks_and_retrieves_nothing(pull: Pull, people: People) -> None:
    listed = pull.list_of(f"{Person(people[0]).PatientID[:-1]}*", header="PatientID")
    done = pull("pull", listed, "--from", "pacs", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 found" in done.stdout
    assert pull.pacs.moves == []
    assert pull.json("batches", "show", pull.newest())["studies"] == len(people)


def test_copies_and_dumps_are_in_the_tree_of_the_older_tool(pull: Pull, people: People) -> None:
    one = people[0]
    done = pull("pull", pull.list_of(uid(one)), "--from", "pacs", "--info", "dumps", "--save", "copies")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "IDENTIFIED" in done.stdout
    place = f"sub-{Person(one).PatientID.replace('-', '_')}/ses-20200615101112/00001-No_series_description"
    assert sorted(p.name for p in (pull.folder / "copies" / place).iterdir()) == [
        f"{uid(one)}.1.{n}.dcm" for n in (1, 2, 3, 4)
    ]
    assert stat.S_IMODE((pull.folder / "copies").stat().st_mode) == 0o700
    ds = pydicom.dcmread(pull.folder / "copies" / place / f"{uid(one)}.1.1.dcm")
    assert ds.PatientID == Person(one).PatientID
    (row,) = csv.DictReader(io.StringIO((pull.folder / "dumps" / f"{place}.csv").read_text()))
    assert row["SeriesInstanceUID"] == f"{uid(one)}.1"
    for folder in ("copies", "dumps"):
        (row,) = csv.DictReader(io.StringIO((pull.folder / folder / "logs" / "pacs_query_log.csv").read_text()))
        assert row == {"StudyInstanceUID": uid(one), "SeriesNumber": "1", "FilesFound": "4"}


def test_rows_say_whose_a_study_is(pull: Pull, people: People) -> None:
    one = people[0]
    listed = pull.list_of(f"{uid(one)},default,TRIAL-007", header="StudyInstanceUID,Project,Pseudonym")
    assert pull("pull", listed, "--from", "pacs").returncode == 0
    (row,) = pull.site.clinical.get(f"/deid/batches/{pull.newest()}/rows", timeout=30).json()["items"]
    found = pull.site.await_status(row["studies"][0]["orthanc"], "done")
    output = pull.site.research.get(f"/studies/{found['output']}", timeout=30).json()
    assert output["PatientMainDicomTags"]["PatientID"] == "TRIAL-007"
    assert output["PatientMainDicomTags"]["PatientName"] == "TRIAL-007"


def test_no_two_patients_get_one_pseudonym(pull: Pull, people: People) -> None:
    one, two, _ = people
    header = "StudyInstanceUID,Project,Pseudonym"
    done = pull("pull", pull.list_of(f"{uid(one)},default,TRIAL-008", header=header), "--from", "pacs")
    assert done.returncode == 0, done.stdout + done.stderr
    pull.site.await_status(orthanc_id(Person(one).PatientID, uid(one)), "done")
    done = pull("pull", pull.list_of(f"{uid(two)},default,trial-008", header=header), "--from", "pacs")
    assert done.returncode == 0, done.stdout + done.stderr
    other = pull.site.await_status(orthanc_id(Person(two).PatientID, uid(two)), "quarantined")
    assert other["reason"].startswith("the pseudonym is another patient's in this project: ")
    assert other["output"] is None


def test_a_stranger_with_the_uid_of_a_study_does_not_get_its_pseudonym(pull: Pull, people: People) -> None:
    one = people[0]
    listed = pull.list_of(f"{uid(one)},default,TRIAL-009", header="StudyInstanceUID,Project,Pseudonym")
    ds = pydicom.dcmread(io.BytesIO(ct_study(Person(one), 1)[0]))
    ds.PatientID = "MRN-999999"
    stranger = io.BytesIO()
    ds.save_as(stranger)
    pull.pacs.lies.withheld = frozenset(f"{uid(one)}.1.{number}" for number in range(1, 5))
    assert pull("pull", listed, "--from", "pacs").returncode == 3  # nothing came, the origin is noted all the same
    found = pull.site.await_status(pull.site.send([stranger.getvalue()]), "quarantined")
    assert found["reason"] == "the pseudonym that the list gives is of another PatientID: that which the archive told"
    assert found["output"] is None


def test_what_is_held_stays_held_where_another_list_fetches_the_rest(pull: Pull, people: People) -> None:
    one = people[0]
    source = orthanc_id(Person(one).PatientID, uid(one))
    pull.pacs.lies.withheld = frozenset({f"{uid(one)}.1.4"})
    pull("pull", pull.list_of(uid(one)), "--from", "pacs", "--hold")
    pull.site.await_status(source, "review")
    pull.pacs.lies = Lies()
    done = pull("pull", pull.list_of(uid(one)), "--from", "pacs")
    assert done.returncode == 0, done.stdout + done.stderr
    held = pull.site.await_status(source, "review", version=2)
    assert pull.site.arrived(held["output"]) == []


def test_what_is_held_waits_for_a_person_and_is_then_delivered(pull: Pull, people: People) -> None:
    one, two, _ = people
    assert pull("pull", pull.list_of(uid(one), uid(two)), "--from", "pacs", "--hold").returncode == 0
    rows = pull.site.clinical.get(f"/deid/batches/{pull.newest()}/rows", timeout=30).json()["items"]
    first, second = (row["studies"][0]["orthanc"] for row in rows)
    held = [pull.site.await_status(study, "review")["output"] for study in (first, second)]
    assert [pull.site.arrived(output) for output in held] == [[], []]
    assert pull.site.clinical.post(f"/deid/studies/{first}/approve", timeout=30).status_code == 202
    pull.site.await_status(first, "done")
    body = {"reason": "not wanted"}
    assert pull.site.clinical.post(f"/deid/studies/{second}/reject", json=body, timeout=30).json()["status"] == (
        "rejected"
    )
    clinical = pull.site.clinical
    assert clinical.post(f"/deid/studies/{first}/approve", timeout=30).status_code == 409
    assert clinical.post(f"/deid/studies/{second}/process", timeout=30).status_code == 202
    pull.site.await_status(second, "review")  # asked for once more, not released
    away = {"destination": "research"}
    assert clinical.post(f"/deid/studies/{second}/export", json=away, timeout=30).status_code == 409
    assert clinical.post(f"/deid/studies/{second}/cancel", timeout=30).status_code == 202
    assert clinical.post(f"/deid/studies/{second}/retry", timeout=30).status_code == 202
    pull.site.await_status(second, "review")
    pull.site.send(ct_study(Person(two), 1, first=9))
    pull.site.await_status(second, "review", version=2)
    assert pull.site.arrived(held[1]) == []
    assert clinical.post(f"/deid/studies/{second}/approve", timeout=30).status_code == 202
    found = pull.site.await_status(second, "done", version=2)
    assert len(pull.site.arrived(found["output"])) == 5


def test_pause_cancel_and_most(pull: Pull, people: People) -> None:
    one, two, three = people
    pull.pacs.lies.pause_s = 0.5
    listed = pull.list_of(uid(one), uid(two), uid(three))
    assert pull("pull", listed, "--from", "pacs", "--max", "1", "--no-wait").returncode == 0
    number = pull.newest()
    assert pull("batches", "pause", number).returncode == 0
    assert pull.json("batches", "show", pull.newest())["state"] == "paused"
    assert pull("batches", "resume", number).returncode == 0
    wait_for(lambda: set(pull.states(pull.newest())) == {"delivered", "skipped"}, 60, "one is fetched")
    assert len(pull.pacs.moves) == 1
    assert pull("batches", "cancel", number).returncode == 1  # it has ended
    pull("pull", pull.list_of(uid(two), uid(three)), "--from", "pacs", "--no-wait")
    assert pull("batches", "cancel", number + 1).returncode == 0
    assert set(pull.states(number + 1)) <= {"cancelled", "delivered", "duplicate"}


@pytest.mark.timeout(60 + 3 * ROWS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of the PACS, when Orthanc dies
def test_kills_in_the_middle_lose_no_row_and_fetch_nothing_twice(new_site: NewSite, tmp_path: Path) -> None:
    people = range(1, ROWS + 1)
    with LyingPacs([file for n in people for file in ct_study(Person(n), 2)]) as pacs:
        pull = Pull(new_site, tmp_path, pacs, automatic=False)
        listed = pull.list_of(*(uid(n) for n in people), uid(ROWS + 1))
        assert pull("pull", listed, "--from", "pacs", "--no-wait").returncode == 0
        for part in range(1, KILLS + 1):
            wait_for(lambda part=part: len(pacs.moves) >= part * ROWS // (KILLS + 1), 2 * ROWS, "some")  # type: ignore[misc]
            pull.site.clinical.kill()
            pull.site.clinical.start()
            pull.site.await_service()
        wait_for(lambda: pull.ended(1), 60 + 2 * ROWS, "every row ends")
        assert pull.counts(1) == {"delivered": ROWS, "not-found": 1}
        assert len(pull.site.clinical.studies()) == ROWS
        asked = Counter(asked.keys["StudyInstanceUID"] for asked in pacs.moves)
        assert set(asked) == {uid(n) for n in people}
        # Only what was under way at a kill, two studies at once on each of four associations, may be asked for again.
        assert sum(asked.values()) - ROWS <= KILLS * 4
    gc.collect()  # here, where its warnings are expected


def test_nothing_of_a_patient_is_in_log_database_or_addresses(pull: Pull, people: People) -> None:
    one, two, _ = people
    pull.pacs.lies.withheld = frozenset({f"{uid(one)}.1.3"})
    listed = pull.list_of(uid(one), header="StudyInstanceUID")
    pull("pull", listed, "--from", "pacs")
    pull("pull", pull.list_of(f"{Person(two).PatientID},20200615", header="PatientID,StudyDate"), "--from", "pacs")
    database = pull.site.clinical.home / "deid.sqlite"
    held = [path.read_bytes() for path in database.parent.glob("deid.sqlite*")]
    for person in (one, two):
        markers = [*Person(person).markers, uid(person)]
        assert [marker for marker in markers if marker in pull.site.clinical.log()] == []
        assert all(marker.encode() not in data for data in held for marker in markers)


def test_dcmtks_archive_is_asked_as_well(pull: Pull, people: People) -> None:
    person = Person(people[0])
    files = []
    for n, data in enumerate(ct_study(person, 5)):
        files.append(pull.folder / f"{n}.dcm")
        files[-1].write_bytes(data)
    subprocess.run(
        ["/usr/bin/storescu", "-aec", "DCMQR", "127.0.0.1", str(pull.dcmtk_port), *map(str, files)],
        check=True, timeout=30, capture_output=True,
    )  # fmt: skip
    listed = pull.list_of(f"{person.PatientID},20200601-20200630", header="PatientID,StudyDate")
    done = pull("pull", listed, "--from", "dcmtk")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5 instances here" in done.stdout


def test_ctrl_c_ends_the_waiting_and_not_the_batch(pull: Pull, people: People) -> None:
    one = people[0]
    pull.pacs.lies.pause_s = 0.4
    running = pull.start("pull", pull.list_of(uid(one)), "--from", "pacs")
    wait_for(lambda: pull.pacs.moves, 60, "it is being fetched")
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "goes on in the server" in stderr
    wait_for(lambda: pull.states(pull.newest()) == ["delivered"], 60, "it is fetched all the same")
