"""From a list of reviews to the research archive: practice, the real run, a hook that refuses, kills in the middle."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lying_pacs import Lies, LyingPacs
from servers import CHECKOUT, wait_for
from sites import DEID, Site
from studies import ROOT, Person, ct_study

PACS = """
sources:
  - name: staging
    kind: pacs
    ae: STAGING
    host: 127.0.0.1
    port: {pacs}
    timeout_s: 5
    arrive_s: 2
    attempts: 1
"""
HOOK = """
def hook(run):
    run.note(f"practice {run.practice}")
    for study in run.studies:
        refused = study.original.AccessionNumber.endswith("13")
        yield study.refuse("no encounter") if refused else study.accept()
"""
REFUSED = Person(13)
Done = subprocess.CompletedProcess[str]


class Staging:
    """A site, its staging archive, and the commands of a person who runs the pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pacs = LyingPacs(ae="STAGING", lies=Lies())
        deid = DEID.replace("{url}", "{{url}}").replace("{password_file}", "{{password_file}}") + PACS
        self.site = Site(folder / "site", deid=deid.format(pacs=self.pacs.port))
        self.pacs.known["CLINICAL"] = ("127.0.0.1", self.site.clinical.dicom_port)
        self.hook = folder / "hook.py"
        self.hook.write_text(HOOK)

    def hold(self, *people: Person, count: int = 3) -> None:
        """Let the archive hold a study of each."""
        for person in people:
            self.pacs.add(*ct_study(person, count))

    def reviews(self, name: str, *people: Person) -> Path:
        """Write a list in which all of them are released."""
        path = self.folder / name
        flags = {"has_phi": False, "relevant": True, "has_reconstruction": False, "comment": ""}
        path.write_text(json.dumps([{"original_study_uid": uid(person)} | flags for person in people]))
        return path

    def command(self, runs: str, *words: str) -> tuple[list[str], dict[str, str]]:
        """Answer a command and its environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
        environment = clean | {
            "PYTHONPATH": str(CHECKOUT / "plugin"),
            "ORTHANC_DEID_HOME": str(self.site.clinical.home),
            "ORTHANC_DEID_HTTP_PORT": str(self.site.clinical.http_port),
        }
        verb, *rest = words
        line = [sys.executable, "-m", "orthanc_deid", "staging", verb, "--runs", str(self.folder / runs), *rest]
        return line, environment

    def run(self, runs: str, *words: str) -> Done:
        """Run a command to its end."""
        line, environment = self.command(runs, *words)
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=90, check=False)

    def begin(self, runs: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a command."""
        line, environment = self.command(runs, *words)
        return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def newest(self, runs: str) -> Path:
        """Answer the folder of the newest run."""
        return max((self.folder / runs).glob("run_at_*"))

    def batches(self) -> list[dict[str, Any]]:
        """Answer the batches that the product knows."""
        return list(self.site.clinical.get("/deid/batches").json()["items"])

    def in_research(self) -> int:
        """Count the studies in the research archive."""
        return len(self.site.research.get("/studies").json())


def uid(person: Person) -> str:
    return f"{ROOT}.{person.number}.1"


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def flags(path: Path) -> list[Any]:
    return [
        review.get("image_published") or review.get("processing_error_msg") for review in json.loads(path.read_text())
    ]


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    """Answer one site for all tests of this module; each uses patients of its own."""
    made = Staging(tmp_path_factory.mktemp("staging"))
    made.hold(*(Person(number) for number in range(10, 30)))
    with made.pacs:
        try:
            made.site.start()
            yield made
        finally:
            made.site.kill()


def without_identity(text: str, people: Sequence[Person]) -> bool:
    return not any(marker in text for person in people for marker in (*person.markers, ROOT))


def test_practice_pushes_nothing_and_the_real_run_takes_the_studies_from_where_they_wait(staging: Staging) -> None:
    people = [Person(12), REFUSED]
    path = staging.reviews("both.json", *people, Person(99))
    before, delivered = path.read_bytes(), staging.in_research()
    words = ("run", str(path), "--from", "staging", "--hook", str(staging.hook))
    practice = staging.run("both", *words, "--practice")
    assert practice.returncode == 3, practice.stderr
    assert "line 1: " in practice.stdout.partition("Ready, not pushed: 1")[2].partition("Refused")[0]
    assert "Refused by the hook (no_encounter): 1\n  line 2: no encounter" in practice.stdout
    assert "line 3: not-found" in practice.stdout
    assert "hook: practice True" in practice.stdout
    assert (path.read_bytes(), staging.in_research()) == (before, delivered)
    folder = staging.newest("both")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {"post_anon_output_practice.txt", "overview.txt"} <= {each.name for each in folder.iterdir()}
    moves = len(staging.pacs.moves)

    real = staging.run("both", *words)
    assert real.returncode == 3, real.stderr
    assert "Pushed: 1\n  line 1: " in real.stdout
    assert staging.in_research() == delivered + 1
    assert len(staging.pacs.moves) == moves, "nothing was fetched twice"
    assert flags(path) == [True, "no encounter", "not-found: the archive has no study of this kind"]
    assert path.with_name("both.json.bak").read_bytes() == before
    names = {each.name for each in staging.newest("both").iterdir()}
    assert {
        "studies_to_retrieve.txt", "comments.txt", "pull_output.txt", "anonymize_output.txt", "post_anon_output.txt",
        "push_output.txt", "done.txt", "overview.txt", "run.json",
    } <= names  # fmt: skip
    rejected = staging.site.clinical.get("/deid/studies?status=rejected").json()["items"]
    assert [study["reason"] for study in rejected] == ["rejected: no encounter"]
    for done in (practice, real):
        assert without_identity(done.stdout + done.stderr, people)


def test_a_run_that_is_killed_while_it_pulls_goes_on_with_the_same_batch(staging: Staging) -> None:
    people = [Person(14), Person(15)]
    path = staging.reviews("pull.json", *people)
    begun = len(staging.batches())
    staging.pacs.lies.delay_s = 0.5
    process = staging.begin("pull", "run", str(path), "--from", "staging")
    try:
        wait_for(lambda: len(staging.batches()) > begun, 30, "a batch")
    finally:
        kill(process)
        staging.pacs.lies.delay_s = 0
    number = staging.newest("pull") / "batch.json"
    number.write_text(json.dumps({"key": json.loads(number.read_text())["key"]}))  # killed before it heard
    done = staging.run("pull", "run", "--last")
    assert done.returncode == 0, done.stderr
    assert "Pushed: 2" in done.stdout
    assert len(staging.batches()) == begun + 1
    assert len(staging.pacs.sent) == len(set(staging.pacs.sent))
    assert flags(path) == [True, True]


def test_a_run_that_is_killed_while_it_pushes_pushes_the_rest_once(staging: Staging) -> None:
    people = [Person(number) for number in range(16, 20)]
    path = staging.reviews("push.json", *people)
    delivered = staging.in_research()
    first = staging.run("push", "run", str(path), "--from", "staging", "--no-push")
    assert first.returncode == 0, first.stderr
    assert "Ready, not pushed: 4" in first.stdout
    assert staging.in_research() == delivered
    process = staging.begin("push", "run", "--last", "--push")
    try:
        wait_for(lambda: staging.in_research() > delivered, 30, "the first study")
    finally:
        kill(process)
    assert not (staging.newest("push") / "done.txt").exists()
    done = staging.run("push", "run", "--last")
    assert done.returncode == 0, done.stderr
    assert "Pushed: 4" in done.stdout
    assert staging.in_research() == delivered + 4
    assert flags(path) == [True] * 4


def test_a_study_that_came_in_part_is_not_pushed_until_the_rest_has_come(staging: Staging) -> None:
    person = Person(22)
    path = staging.reviews("part.json", person)
    delivered = staging.in_research()
    staging.pacs.lies.withheld = frozenset({f"{uid(person)}.1.2"})
    part = staging.run("part", "run", str(path), "--from", "staging")
    assert part.returncode == 3, part.stderr
    assert "line 1: partial: 2 of 3 instances" in part.stdout
    assert staging.in_research() == delivered
    assert flags(path) == ["partial: 2 of 3 instances; the rest was not sent, or was refused at the door"]
    staging.pacs.lies.withheld = frozenset()
    whole = staging.run("part", "run", str(staging.reviews("part.json", person)), "--from", "staging")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    output = whole.stdout.partition("Pushed: 1\n  line 1: ")[2].split()[0]
    assert len(staging.site.arrived(output)) == 3


def test_a_hook_that_fails_stops_the_run_before_anything_is_pushed(staging: Staging) -> None:
    person = Person(20)
    path, hook = staging.reviews("fails.json", person), staging.folder / "fails.py"
    hook.write_text("def hook(run):\n    raise LookupError(run.studies[0].original.PatientID)\n")
    delivered = staging.in_research()
    failed = staging.run("fails", "run", str(path), "--from", "staging", "--hook", str(hook))
    assert failed.returncode == 1
    assert "the hook has failed (exit code 1)" in failed.stderr
    overview = (staging.newest("fails") / "overview.txt").read_text()
    assert "STOPPED: the hook has failed" in overview
    assert without_identity(failed.stdout + failed.stderr + overview, [person])
    assert staging.in_research() == delivered
    hook.write_text("def hook(run):\n    return [study.accept() for study in run.studies]\n")
    assert staging.run("fails", "run", "--last").returncode == 0
    assert staging.in_research() == delivered + 1


def test_a_query_is_marked_line_by_line_and_another_modality_is_not_found(staging: Staging) -> None:
    path = staging.folder / "query.csv"
    path.write_text(f"PatientID;StudyDate\n{Person(21).PatientID};20200101-20201231\n{Person(98).PatientID};\n")
    none = staging.run("query", "run", str(path), "--from", "staging", "-p", "-a", "us")
    assert (none.returncode, none.stdout.count("not-found")) == (3, 2), none.stdout + none.stderr
    done = staging.run("query", "run", str(path), "--from", "staging", "-m", "5")
    assert done.returncode == 3, done.stderr
    header, first, second = path.read_text().splitlines()
    assert header.startswith("PatientID;StudyDate;image_published;pub_date;processing_error;")
    assert first.split(";")[2] == "true"
    assert second.split(";")[4] == "true"
