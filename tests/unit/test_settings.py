from pathlib import Path

import pytest

from orthanc_deid import settings
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.settings import OrthancPeer, Settings
from orthanc_deid.yaml_file import parse_yaml
from servers import CHECKOUT

PEER = 'destinations: [{{kind: orthanc-peer, name: research, url: "https://example.org/"{more}}}]\n'


def load(folder: Path, text: str, **environment: str) -> Settings:
    file = folder / "deid.yaml"
    file.write_text(text)
    return settings.load({"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(file)} | environment)


def faults(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text, **environment)
    return str(raised.value).splitlines()


def test_an_empty_file_means_one_project_that_takes_everything(tmp_path: Path) -> None:
    configuration = load(tmp_path, "").configuration
    assert [(p.name, p.profile, p.match.modality, p.destinations) for p in configuration.projects] == [
        ("default", "research", (), ())
    ]
    assert configuration.intake.automatic


@pytest.mark.parametrize("name", ["deid.yaml", "compose/deid.yaml"])
def test_the_shipped_files_are_valid(name: str) -> None:
    assert settings.load_file(CHECKOUT / "orthanc-config" / name).projects[0].name == "default"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("intake:\n  automatik: true\n", "2: intake.automatik: unknown key (did you mean automatic?)"),
        ("projekts: []\n", "1: projekts: unknown key (did you mean projects?)"),
        ("projects:\n  - name: a\n    profil: x\n", "3: projects.0.profil: unknown key (did you mean profile?)"),
        ("limits:\n  attempts: 5\n  attempts: 6\n", "3: attempts stands twice"),
        ("limits:\n  attempts: many\n", "2: limits.attempts: should be a whole number"),
        ("limits:\n  attempts: 5.0\n", "2: limits.attempts: should be a whole number"),
        ("limits:\n  attempts: 0\n", "2: limits.attempts: Input should be greater than or equal to 1"),
        ("intake:\n  automatic: no\n", "2: intake.automatic: should be true or false"),
        ("projects:\n- match: {modality: CT}\n  name: a\n", "2: projects.0.match.modality: should be a list: [a, b]"),
        ("projects:\n  - profile: basic\n", "2: projects.0.name: is missing"),
        ("projects: []\n", "1: projects: should hold at least one"),
        ("- a\n", "1: file: should be keys with values"),
        ("a: [\n", "2: expected the node content, but found '<stream end>'"),
        (
            "destinations:\n  - {kind: dicomwep, name: a, url: 'http://a'}\n",
            "2: destinations.0.kind: is none of the words that it can be (did you mean dicomweb?)",
        ),
        ("destinations:\n  - {name: a, url: 'http://a'}\n", "2: destinations.0.kind: is missing"),
        (
            "destinations:\n  - kind: dicom\n    name: a\n    ae: A\n    hots: b\n    port: 104\n    host: b\n",
            "5: destinations.0.hots: unknown key (did you mean host?)",
        ),
        (
            "intake:\n  refuse:\n    - name: a\n",
            "3: intake.refuse.0: give sop_class, image_type or both: a refusal of everything is not one",
        ),
        ("projects: [{name: a}, {name: a}]\n", "1: file: projects: the name a is used twice"),
        (
            "projects: [{name: a, destinations: [reserch]}]\n" + PEER.format(more=""),
            "1: file: project a: no destination is called reserch (did you mean research?)",
        ),
        (PEER.format(more=", username: a"), "1: destinations.0: username needs password_file or password_env"),
        (
            PEER.format(more=", password_file: a, password_env: B"),
            "1: destinations.0: give password_file or password_env, not both",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_file_line_and_field(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [f"deid.yaml:{fault}"]


def test_several_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "projects:\n  - name: a\n    profil: x\n  - name: b\n    match: 5\n"
        "intake:\n  reconcile_s: fast\nlimits:\n  step_s: 1\n"
    )
    assert [line.split(": ")[:2] for line in faults(tmp_path, text)] == [
        ["deid.yaml:3", "projects.0.profil"],
        ["deid.yaml:5", "projects.1.match"],
        ["deid.yaml:7", "intake.reconcile_s"],
        ["deid.yaml:9", "limits.step_s"],
    ]


def test_words_that_older_yaml_takes_for_values_stay_text() -> None:
    values, lines = parse_yaml("a: no\nb: 0123\nc: 2020-01-02\nd: 1:30\ne: on\nf: 0x1f\ng: '5'\n", "x.yaml")
    assert values == {"a": "no", "b": "0123", "c": "2020-01-02", "d": "1:30", "e": "on", "f": "0x1f", "g": "5"}
    assert lines[("c",)] == 3


def test_values_are_values() -> None:
    values, _ = parse_yaml("[true, false, null, ~, 5, -5, 0, 1.5, 2e3, text]", "x.yaml")
    assert values == (True, False, None, None, 5, -5, 0, 1.5, 2000.0, "text")


def test_a_project_may_be_called_by_digits_and_no(tmp_path: Path) -> None:
    projects = load(tmp_path, "projects: [{name: 0123}, {name: no}]\n").configuration.projects
    assert [project.name for project in projects] == ["0123", "no"]


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^other.yaml: cannot be read \(FileNotFoundError\)$"):
        settings.load({"ORTHANC_DEID_CONFIG": str(tmp_path / "other.yaml")})
    (tmp_path / "latin.yaml").write_bytes(b"a: \xfc")
    with pytest.raises(ConfigurationError, match=r"^latin.yaml: cannot be read \(UnicodeDecodeError\)$"):
        settings.load({"ORTHANC_DEID_CONFIG": str(tmp_path / "latin.yaml")})


def test_no_secret_is_in_a_repr_or_a_message(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "",
        ORTHANC_DEID_ORTHANC_TOKEN="Bearer hidden-1",
        ORTHANC_DEID_DATABASE_URL="postgresql://deid:hidden-2@db/deid",
    )
    assert loaded.orthanc_token == "Bearer hidden-1"
    assert "hidden" not in repr(loaded)
    assert "hidden" not in str(faults(tmp_path, 'destinations: [{url: "https://a:hidden-3@b/"}]\n'))


def test_a_password_in_a_web_address_is_refused(tmp_path: Path) -> None:
    text = PEER.format(more="").replace("https://", "https://deid:hidden@")
    assert faults(tmp_path, text) == [
        "deid.yaml:1: destinations.0: url: a password does not belong here: give username and password_file"
    ]


def test_a_password_is_read_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    text = PEER.format(more=f", username: deid, password_file: {file}")
    destination = load(tmp_path, text).configuration.destination("research")
    assert isinstance(destination, OrthancPeer)
    with pytest.raises(ConfigurationError, match="secret file password: FileNotFoundError"):
        destination.password()
    for secret in ("first\n", "second\n"):
        file.write_text(secret)
        assert destination.password() == secret.strip()
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="secret file password is empty"):
        destination.password()
    by_name = load(tmp_path, PEER.format(more=", username: deid, password_env: SITE_SECRET"))
    destination = by_name.configuration.destination("research")
    assert isinstance(destination, OrthancPeer)
    with pytest.raises(ConfigurationError, match="variable SITE_SECRET is not set"):
        destination.password()
    monkeypatch.setenv("SITE_SECRET", "third")
    assert destination.password() == "third"


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("ORTHANC_DEID_WORKERS", "two", "ORTHANC_DEID_WORKERS: not a whole number"),
        ("ORTHANC_DEID_WORKERS", "-1", "ORTHANC_DEID_WORKERS: not a whole number"),
        ("ORTHANC_DEID_WORKERS", "²", "ORTHANC_DEID_WORKERS: not a whole number"),
        ("ORTHANC_DEID_WORKERS", "65", "ORTHANC_DEID_WORKERS: Input should be less than or equal to 64"),
        ("ORTHANC_DEID_HTTP_PORT", "0", "ORTHANC_DEID_HTTP_PORT: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str, fault: str) -> None:
    assert faults(tmp_path, "", **{variable: value}) == [fault]


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    loaded = load(tmp_path, "", ORTHANC_DEID_WORKERS="", ORTHANC_DEID_DATABASE_URL="", ORTHANC_DEID_HTTP_PORT="8050")
    assert (loaded.workers, loaded.http_port, loaded.orthanc_url) == (1, 8050, "http://127.0.0.1:8050")
    assert loaded.database_url == f"sqlite:///{tmp_path / 'deid.sqlite'}"
