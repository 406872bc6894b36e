"""The command line against a real site: what it prints, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from servers import CHECKOUT, free_port
from sites import Site
from studies import Person, ct_instance, ct_study

UNKNOWN = "0" * 8 + 4 * ("-" + "0" * 8)
NO_PATIENT = "PatientID (0010,0020) is empty"
ANOTHER_USER, ANOTHER_PASSWORD = "jörg-太郎", "pässwörd"
Done = subprocess.CompletedProcess[str]


class Nobody(Person):
    """A patient without an id: the study goes to quarantine."""

    PatientID = ""


class Commands:
    """`orthanc-deid` as a person at the product's machine runs it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
        self.environment = clean | {
            "PYTHONPATH": str(CHECKOUT / "plugin"),
            "ORTHANC_DEID_HOME": str(site.clinical.home),
            "ORTHANC_DEID_CONFIG": str(site.clinical.deid_file),
            "ORTHANC_DEID_HTTP_PORT": str(site.clinical.http_port),
        }

    def __call__(self, *words: str, **environment: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "orthanc_deid", *words],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def doctor(self, *before: str, **environment: str) -> dict[str, str]:
        """Answer what is wrong, by check; the exit code agrees."""
        done = self(*before, "--json", "doctor", **environment)
        results = json.loads(done.stdout)
        assert len(results) >= 5
        bad = {result["check"]: result["detail"] for result in results if not result["ok"]}
        assert done.returncode == (1 if bad else 0)
        return bad


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Answer one site for all tests of this module."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.clinical.users[ANOTHER_USER] = ANOTHER_PASSWORD
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def cli(site: Site) -> Commands:
    return Commands(site)


@pytest.fixture(scope="module")
def done(site: Site) -> str:
    """Answer a study that is done."""
    source = site.send(ct_study(Person(1), 3))
    site.await_status(source, "done")
    return source


@pytest.fixture(scope="module")
def quarantined(site: Site) -> str:
    """Answer a study that is in quarantine whenever a test ends."""
    source = site.send([ct_instance(Nobody(2))])
    site.await_status(source, "quarantined")
    return source


def test_studies_is_a_table_with_whole_ids_and_reasons(cli: Commands, done: str, quarantined: str) -> None:
    shown = cli("studies")
    assert shown.returncode == 0
    heading, *rows = shown.stdout.splitlines()
    assert heading.split() == ["study", "state", "project", "instances", "destinations", "next", "attempt", "reason"]
    by_study = {row.split()[0]: row for row in rows}
    assert by_study[done].split()[1:] == ["done", "default", "3/3", "research:confirmed"]
    assert by_study[quarantined].split()[1] == "quarantined"
    assert NO_PATIENT in by_study[quarantined]


def test_studies_can_be_filtered_and_limited(cli: Commands, done: str, quarantined: str) -> None:
    assert cli("studies", "--status", "quarantined,failed", "--raw").stdout.split() == [quarantined]
    assert done in cli("studies", "--project", "default", "--raw").stdout.split()
    shown = cli("studies", "--project", "other")
    assert (shown.returncode, shown.stdout) == (0, "No study is in that state or project.\n")
    assert cli("studies", "--project", "other", "--raw").stdout == ""
    first = cli("studies", "--limit", "1", "--raw")
    assert len(first.stdout.split()) == 1
    assert first.stderr == "More are known than these 1: see --limit.\n"


def test_studies_for_machines_are_json_with_every_field_of_the_answer(
    cli: Commands, site: Site, done: str, quarantined: str
) -> None:
    items = json.loads(cli("--json", "studies").stdout)
    assert {done, quarantined} <= {item["source"] for item in items}
    assert items == site.clinical.get("/deid/studies").json()["items"]


def test_ids_can_be_piped_into_the_next_command(cli: Commands, site: Site, quarantined: str) -> None:
    program = f"{sys.executable} -m orthanc_deid"
    line = f"{program} studies --status quarantined --raw | xargs -r {program} retry --wait"
    piped = subprocess.run(
        ["bash", "-c", line], env=cli.environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert piped.stdout.startswith(f"{quarantined}: quarantined (PatientID")
    assert site.study(quarantined)["status"] == "quarantined"


def test_show_tells_counts_destinations_and_history(cli: Commands, done: str) -> None:
    shown = cli("show", done)
    assert shown.returncode == 0
    words = {line.split()[0]: line.split()[1:] for line in shown.stdout.split("\n\n", maxsplit=1)[0].splitlines()}
    assert (words["source"], words["status"], words["reason"]) == ([done], ["done"], ["-"])
    assert (words["received"], words["deidentified"], words["quarantined"]) == (["3"], ["3"], ["0"])
    assert "to research      confirmed, 3 confirmed, attempt" in shown.stdout
    assert shown.stdout.splitlines()[-1].endswith("v1 done  (system)")


def test_show_finds_a_study_by_its_result_too(cli: Commands, done: str) -> None:
    found = json.loads(cli("--json", "show", done).stdout)
    assert json.loads(cli("--json", "show", found["output"]).stdout) == found


def test_process_starts_an_unstable_study_and_waits_for_its_end(cli: Commands, site: Site) -> None:
    source = site.send(ct_study(Person(3), 2))
    shown = cli("process", "--wait", source)
    assert (shown.returncode, shown.stdout) == (0, f"{source}: done\n")


def test_process_of_several_says_what_became_of_each(cli: Commands, site: Site, done: str) -> None:
    new = site.send(ct_study(Person(4), 2))
    shown = cli("--json", "process", "--wait", UNKNOWN, new, done)
    assert shown.returncode == 1
    assert [(s["source"], s["status"]) for s in map(json.loads, shown.stdout.splitlines())] == [
        (new, "done"), (done, "done"),
    ]  # fmt: skip
    assert shown.stderr == f"{UNKNOWN}: Orthanc does not know that resource (404)\n"


def test_a_retry_that_ends_in_quarantine_again_says_why_and_fails(cli: Commands, quarantined: str) -> None:
    shown = cli("retry", "--wait", quarantined)
    assert shown.returncode == 1
    assert shown.stdout.startswith(f"{quarantined}: quarantined ({NO_PATIENT}")


def test_retry_of_a_done_study_is_refused(cli: Commands, done: str) -> None:
    shown = cli("retry", done)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == f"{done}: the study is done: there is nothing to retry (409)\n"


def test_cancel_of_a_done_study_is_refused(cli: Commands, site: Site, done: str) -> None:
    shown = cli("cancel", done)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.endswith("is done: it cannot become cancelled (409)\n")
    assert site.study(done)["status"] == "done"


def test_cancel_stops_a_study_and_retry_starts_it_again(cli: Commands, site: Site, quarantined: str) -> None:
    shown = cli("cancel", quarantined)
    assert (shown.returncode, shown.stdout) == (0, f"{quarantined}: cancelled (cancelled by a person)\n")
    assert site.study(quarantined)["events"][-1]["actor"] == "admin"
    assert cli("retry", quarantined).returncode == 0
    site.await_status(quarantined, "quarantined")


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
def test_an_unknown_study_is_told(cli: Commands, command: str) -> None:
    shown = cli(command, UNKNOWN)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "no study of that id is known (404)" in shown.stderr


def test_a_name_and_password_beyond_ascii_log_in_and_stand_in_the_history(cli: Commands, quarantined: str) -> None:
    shown = cli(
        "--user", ANOTHER_USER, "--json", "retry", "--wait", quarantined, ORTHANC_DEID_PASSWORD=ANOTHER_PASSWORD
    )
    assert ANOTHER_USER in {event["actor"] for event in json.loads(shown.stdout)["events"]}
    assert f"({ANOTHER_USER})" in cli("show", quarantined).stdout


def test_a_wrong_password_says_where_it_comes_from(cli: Commands) -> None:
    shown = cli("studies", ORTHANC_DEID_PASSWORD="wrong")
    assert (shown.returncode, shown.stderr) == (1, "Error: log-in refused: see --user and --password-file\n")


def test_a_server_that_is_away_is_told_in_a_line(cli: Commands) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    shown = cli("--url", url, "studies")
    assert shown.returncode == 1
    assert shown.stderr == f"Error: {url} does not answer (ConnectionError): is it running, is --url right?\n"


def test_an_orthanc_without_the_plugin_is_recognized(cli: Commands, site: Site) -> None:
    shown = cli("--url", site.research.url, "studies", ORTHANC_DEID_PASSWORD=site.research.password)
    assert shown.returncode == 1
    assert shown.stderr == "Error: the server answers 404: is Orthanc De-ID loaded in it?\n"


def test_doctor_finds_nothing_wrong_with_a_running_site(cli: Commands) -> None:
    shown = cli("doctor")
    assert shown.returncode == 0
    lines = [line.split("  ") for line in shown.stdout.splitlines()]
    assert {line[0] for line in lines} == {"ok"}
    assert [line[1].strip() for line in lines] == [
        "host name", "orthanc", "clock", "plugin", "configuration", "secrets", "database", "keys", "disk",
        "to research",
    ]  # fmt: skip
    assert cli.doctor() == {}


def test_doctor_with_a_wrong_url_blames_the_url_alone(cli: Commands) -> None:
    bad = cli.doctor("--url", f"http://127.0.0.1:{free_port()}")
    assert set(bad) == {"orthanc", "clock", "plugin"}
    assert all("is --url right?" in detail for detail in bad.values())


def test_doctor_with_a_wrong_password_says_so(cli: Commands) -> None:
    bad = cli.doctor(ORTHANC_DEID_PASSWORD="wrong")
    assert set(bad) == {"orthanc", "clock", "plugin"}
    assert {"log-in refused: see --user and --password-file"} == set(bad.values())


def test_doctor_at_an_orthanc_without_the_plugin(cli: Commands, site: Site) -> None:
    bad = cli.doctor("--url", site.research.url, ORTHANC_DEID_PASSWORD=site.research.password)
    assert bad == {"plugin": "the server answers 404: is Orthanc De-ID loaded in it?"}


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("postgresql://deid@127.0.0.1:{port}/deid", "cannot be used (OperationalError)"),
        ("sqlite:////tmp/there/is/no/such.sqlite", "is not there yet"),
        ("nonsense", "ORTHANC_DEID_DATABASE_URL: use sqlite:///"),
    ],
)
def test_doctor_finds_a_database_that_is_away(cli: Commands, url: str, detail: str) -> None:
    bad = cli.doctor(ORTHANC_DEID_DATABASE_URL=url.format(port=free_port()))
    assert set(bad) == {"database"}
    assert bad["database"].startswith(detail)


def test_doctor_finds_a_destination_that_is_down(cli: Commands, site: Site) -> None:
    other = site.clinical.folder / "other.yaml"
    text = site.clinical.deid_file.read_text()
    other.write_text(text.replace(site.research.url, f"http://127.0.0.1:{free_port()}"))
    bad = cli.doctor(ORTHANC_DEID_CONFIG=str(other))
    assert bad == {"to research": "the peer Orthanc cannot be reached (NewConnectionError)"}


def test_doctor_finds_a_destination_that_refuses_the_log_in(cli: Commands, site: Site) -> None:
    file = site.research.home / "admin-password"
    right = file.read_text()
    file.write_text("wrong\n")
    try:
        assert cli.doctor() == {"to research": "the peer Orthanc refuses the log-in (401)"}
    finally:
        file.write_text(right)


def test_doctor_names_a_fault_of_the_configuration_by_its_line(cli: Commands, site: Site) -> None:
    other = site.clinical.folder / "faulty.yaml"
    other.write_text("intake:\n  automatik: true\n")
    bad = cli.doctor(ORTHANC_DEID_CONFIG=str(other))
    assert bad == {"configuration": "faulty.yaml:2: intake.automatik: unknown key (did you mean automatic?)"}
    other.write_text("projects: [{name: default, profile: reserch}]\n")
    assert "no profile is called reserch" in cli.doctor(ORTHANC_DEID_CONFIG=str(other))["configuration"]


def test_doctor_finds_a_key_that_others_can_read(cli: Commands, site: Site) -> None:
    key = site.clinical.home / "key"
    key.chmod(0o644)
    try:
        assert cli.doctor() == {"secrets": "key can be read by others: chmod 600 it"}
    finally:
        key.chmod(0o600)
