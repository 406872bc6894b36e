"""A site's hook in its process: what it gets, what it may answer, and how it ends."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_deid.errors import Conflict, Rejected
from orthanc_deid.staging import private
from orthanc_deid.staging.hook import ANSWER, LOG, REFUSED, Answer, Hook, ask, without_identity
from orthanc_deid.staging.hook_protocol import Original, Output, Study
from servers import CHECKOUT, is_running, wait_for

EXAMPLE = CHECKOUT / "orthanc-config" / "hooks" / "link_by_accession.py"


def study(number: int, accession: str = "") -> Study:
    original = Original(f"MRN-{number}", accession or f"ACC-{number}", f"1.2.{number}", "20200615")
    output = Output(f"out-{number}", f"PSEUDO-{number}", f"A{number}", f"2.25.{number}", "20200601")
    return Study(f"study-{number}", "review", (number + 1,), original, output)


STUDIES = [study(1), study(2)]


def asked(text: str, folder: Path, *, practice: bool = False, timeout_s: float = 20) -> Answer:
    file = folder / "site_hook.py"
    file.write_text(text)
    return ask_file(file, folder, practice=practice, timeout_s=timeout_s)


def ask_file(file: Path, folder: Path, *, practice: bool = False, timeout_s: float = 20) -> Answer:
    hook = Hook(file, sys.executable, timeout_s)
    with private.locked(folder / ".lock") as hold:
        return ask(hook, folder, STUDIES, practice=practice, hold=hold)


def test_a_hook_accepts_and_refuses_and_leaves_notes(tmp_path: Path) -> None:
    answer = asked(
        """
def hook(run):
    run.note(f"practice {run.practice}")
    for study in run.studies:
        yield study.accept() if study.original.AccessionNumber == "ACC-1" else study.refuse("no encounter")
""",
        tmp_path,
        practice=True,
    )
    assert answer.reasons == {"study-1": "", "study-2": "no encounter"}
    assert answer.notes == ["practice True"]


def test_a_hook_gets_identified_and_pseudonymous_values(tmp_path: Path) -> None:
    asked(
        """
import json, pathlib
def hook(run):
    found = [[s.id, s.status, list(s.lines), vars(s.original), vars(s.output)] for s in run.studies]
    (pathlib.Path(run.folder) / "got.json").write_text(json.dumps(found))
    return [s.accept() for s in run.studies]
""",
        tmp_path,
    )
    first = STUDIES[0]
    got = json.loads((tmp_path / "got.json").read_text())
    assert got[0] == [first.id, "review", [2], vars(first.original), vars(first.output)]


def test_what_a_hook_prints_is_its_log_and_no_answer(tmp_path: Path) -> None:
    text = """
import os, sys
def hook(run):
    print("to its output")
    os.write(1, b"past Python\\n")
    print("to its errors", file=sys.stderr)
    return [s.accept() for s in run.studies]
"""
    assert asked(text, tmp_path).reasons == {"study-1": "", "study-2": ""}
    log = (tmp_path / LOG).read_text()
    assert {"to its output", "past Python", "to its errors"} <= set(log.splitlines())


def test_a_hook_of_the_older_form_returns_a_text_and_writes_to_the_overview(tmp_path: Path) -> None:
    answer = asked(
        """
def hook(run_dir, overview, practice):
    overview.write("2 files\\n")
    return "associated"
""",
        tmp_path,
    )
    assert (answer.text, answer.notes) == ("associated", ["2 files"])
    assert answer.reasons == {"study-1": "", "study-2": ""}


def test_a_hook_of_the_older_form_refuses_by_its_folder(tmp_path: Path) -> None:
    text = """
import os
def hook(run_dir, overview, practice):
    os.makedirs(os.path.join(run_dir, "no_encounter", {name!r}))
    return ""
"""
    assert asked(text.format(name="1.2.2"), tmp_path).reasons == {"study-1": "", "study-2": "no encounter"}
    with pytest.raises(Rejected, match="1 names in no_encounter are of no study of this run"):
        asked(text.format(name="9.9"), tmp_path)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError('MRN-1')", "the hook has failed"),
        ("return []", "has not answered for 2 of 2 studies"),
        ("return [run.studies[0].accept()]", "has not answered for 1 of 2 studies"),
        ("return [run.studies[0].accept(), run.studies[0].accept()]", "a study twice"),
        ("return [s.refuse('  ') for s in run.studies]", "without a reason"),
        ("return [True, False]", "one that it was not asked about"),
        ("return None", "the hook has failed"),
        ("return 'all'", "one that it was not asked about"),
        ("import os; os._exit(0)", "ended without an answer"),
        (
            "import dataclasses\n    return [dataclasses.replace(s.accept(), accepted=1) for s in run.studies]",
            "neither",
        ),
    ],
)
def test_a_hook_that_fails_or_answers_nonsense_is_not_believed(body: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=why) as caught:
        asked(f"def hook(run):\n    {body}\n", tmp_path)
    assert "MRN" not in str(caught.value)


def test_a_file_without_a_hook_says_so(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="the file has no function `hook`"):
        asked("x = 1\n", tmp_path)


def test_a_python_that_is_not_there_says_so(tmp_path: Path) -> None:
    hook = Hook(tmp_path / "site_hook.py", str(tmp_path / "no-python"), 5)
    with private.locked(tmp_path / ".lock") as hold, pytest.raises(Rejected, match="see --hook-python"):
        ask(hook, tmp_path, STUDIES, practice=True, hold=hold)


def test_a_hook_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    text = """
import pathlib, subprocess, time
def hook(run):
    child = subprocess.Popen(["sleep", "60"])
    (pathlib.Path(run.folder) / "pid").write_text(str(child.pid))
    time.sleep(60)
"""
    with pytest.raises(Rejected, match="not ended within 2 s"):
        asked(text, tmp_path, timeout_s=2)
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())), 5)


def test_a_hook_gets_no_secrets_of_ours_and_can_import_what_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "secret")
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    text = """
import os, select, beside
def hook(run):
    run.note(f"{'ORTHANC_DEID_PASSWORD' in os.environ} {beside.WORD} {hasattr(select, 'poll')}")
    return [s.accept() for s in run.studies]
"""
    assert asked(text, tmp_path).notes == ["False beside True"]


def test_a_hook_ends_with_a_command_that_is_killed_and_holds_its_run_until_then(tmp_path: Path) -> None:
    (tmp_path / "site_hook.py").write_text(
        """
import os, pathlib, time
def hook(run):
    (pathlib.Path(run.folder) / "pid").write_text(str(os.getpid()))
    time.sleep(60)
"""
    )
    code = f"""
import sys
sys.path[:0] = {[str(CHECKOUT / "plugin"), str(CHECKOUT / "tests"), str(Path(__file__).parent)]!r}
from pathlib import Path
from test_hook import ask_file
ask_file(Path({str(tmp_path / "site_hook.py")!r}), Path({str(tmp_path)!r}), timeout_s=60)
"""
    command = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 20)
        with pytest.raises(Conflict, match="its hook has not ended"), private.locked(tmp_path / ".lock"):
            pass
    finally:
        os.kill(command.pid, signal.SIGKILL)
        command.wait(10)
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())), 5)
    with private.locked(tmp_path / ".lock"):
        pass


def test_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    asked("def hook(run):\n    return [s.accept() for s in run.studies]\n", tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (LOG, ANSWER)} == {0o600}


def test_a_text_with_an_identity_is_not_passed_on() -> None:
    texts = ["no encounter", "no encounter for ACC-1", "of zyxwvut, born", "1.2.3"]
    assert list(without_identity(texts, ["ACC-1", "Zyxwvut", "1.2.3"])) == ["no encounter", REFUSED, REFUSED, REFUSED]
    assert list(without_identity(["11 of 2"], ["1", ""])) == ["11 of 2"]


class Research:
    """The database of the example, and the example that is set to it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "research.sqlite"
        self.hook = folder / "link.py"
        self.hook.write_text(EXAMPLE.read_text().replace('"/srv/research/encounters.sqlite"', repr(str(self.file))))
        self.execute("CREATE TABLE encounter (accession_number TEXT, alias TEXT)")
        self.execute("INSERT INTO encounter VALUES ('ACC-1 ', 'P1')")

    def execute(self, text: str) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(self.file)
        with connection:
            rows = connection.execute(text).fetchall()
        connection.close()
        return rows


def test_the_example_links_what_has_an_encounter_once_and_refuses_the_rest(tmp_path: Path) -> None:
    research = Research(tmp_path)
    for _ in range(2):
        answer = ask_file(research.hook, tmp_path)
        assert answer.reasons == {"study-1": "", "study-2": "no encounter"}
        assert answer.notes == ["1 of 2 studies have an encounter"]
    assert research.execute("SELECT * FROM imaging_link") == [("P1", "PSEUDO-1", "2.25.1")]


def test_the_example_writes_nothing_in_practice(tmp_path: Path) -> None:
    research = Research(tmp_path)
    before = research.file.read_bytes()
    assert ask_file(research.hook, tmp_path, practice=True).reasons["study-1"] == ""
    assert research.file.read_bytes() == before


def test_the_example_refuses_two_participants_behind_one_number_or_pseudonym(tmp_path: Path) -> None:
    research = Research(tmp_path)
    ask_file(research.hook, tmp_path)
    research.execute("UPDATE encounter SET alias = 'P2'")
    assert ask_file(research.hook, tmp_path).reasons["study-1"] == "its pseudonym is linked to another participant"
    research.execute("INSERT INTO encounter VALUES ('ACC-1', 'P1')")
    assert ask_file(research.hook, tmp_path).reasons["study-1"] == "encounters of several participants"


def test_the_example_makes_no_database_where_there_is_none(tmp_path: Path) -> None:
    research = Research(tmp_path)
    research.file.unlink()
    with pytest.raises(Rejected, match="the hook has failed"):
        ask_file(research.hook, tmp_path)
    assert not research.file.exists()


def test_an_empty_number_is_no_encounter(tmp_path: Path) -> None:
    research = Research(tmp_path)
    research.execute("INSERT INTO encounter VALUES ('', 'P9')")
    empty = replace(STUDIES[0], original=replace(STUDIES[0].original, AccessionNumber=""))
    with private.locked(tmp_path / ".lock") as hold:
        hook = Hook(research.hook, sys.executable, 20)
        assert ask(hook, tmp_path, [empty], practice=False, hold=hold).reasons == {"study-1": "no accession number"}
