"""Services whose requests and answers are known, each played by a server written from its documents."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from http_servers import HttpServer, answers
from orthanc_deid.errors import ConfigurationError, Retriable
from orthanc_deid.pseudonymization.base import Given, Missing
from orthanc_deid.pseudonymization.http.source import HttpSource
from planting import ACCESSION, ID
from pseudonym_cases import asked, one, source, token_file
from pseudonym_servers import TOKEN, Dasher, DeidApi, Gpas, Mainzelliste

NOT_KNOWN = Missing("the pseudonym service does not know the patient")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_TOKEN", TOKEN)
    monkeypatch.setenv("FAR_KEY", "ml-key")


def deid(far: HttpServer, **more: Any) -> HttpSource:  # noqa: ANN401  # as in YAML
    auth = {"kind": "header", "value_env": "FAR_TOKEN"}
    return source(far.url + DeidApi.path, preset="deid-api", auth=auth, **more)


def dasher(far: HttpServer, folder: Path, **more: Any) -> HttpSource:  # noqa: ANN401  # as in YAML
    token_file(folder, far.url) if not (folder / "dasher.json").exists() else None
    return source(far.url, folder, preset="dasher", dasher={"study": "Test-Study", "token_file": "dasher.json"}, **more)


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("prefix", ["", "sub-"])
def test_the_deid_api_is_asked_once_for_many_and_once_for_their_shifts(python: bool, prefix: str) -> None:  # noqa: FBT001  # parametrized
    service = DeidApi({"125": "P0001", "126": "P0002", ID: "it's"}, python=python, prefix=prefix)
    service.shifts["126"] = "-7"
    with HttpServer(service) as far:
        found = deid(far, project="GPCR").give([asked(each) for each in ("125", "126", ID, "999", "125")])
        assert found == [Given("P0001", -5), Given("P0002", -7), Given("it's", -7), NOT_KNOWN, Given("P0001", -5)]
        rows = [{"PatientID": each} for each in ("125", "126", ID, "999")]
        assert [(r.method, r.path, r.json()) for r in far.received] == [
            ("POST", path, {"project": "GPCR", "PatientIDList": rows}) for path in ("/deid/api", "/deid/api_shift")
        ]


def test_the_deid_api_without_shifts_is_asked_once_and_dates_are_of_the_key() -> None:
    with HttpServer(DeidApi({"125": "P0001"})) as far:
        assert one(deid(far, offsets=False), asked("125")) == Given("P0001", None)
        assert [r.json()["project"] for r in far.received] == ["trial"]


@pytest.mark.parametrize(
    ("names", "shifts", "expected"),
    [
        ({}, {}, "does not know the patient"),
        ({"125": None}, {"125": 1}, "does not know the patient"),
        ({"0125": "P1"}, {"0125": 1}, "does not know the patient"),
        ({"125": "P1"}, {}, "a pseudonym and no day shift"),
        ({"125": "P1"}, {"125": "soon"}, "not a whole number"),
        ({"125": 7}, {"125": 1}, "no text as pseudonym"),
        ({"125": "125"}, {"125": 1}, "gives back the PatientID"),
        ({"125": "P1", "sub-125": "P2"}, {"125": 1}, "two things of one patient"),
        (b"{'125': 'P1', '125': 'P2'}", {"125": 1}, "a key stands twice"),
        ([], {}, "is no object"),
        (b"'P1'", {}, "is no object"),
    ],
)
def test_what_the_deid_api_says_otherwise_is_missing(names: object, shifts: object, expected: str) -> None:
    with HttpServer() as far:
        far.next_ = [answers(200, names), answers(200, shifts)]
        found = one(deid(far), asked("125"))
    assert isinstance(found, Missing)
    assert expected in found.reason


def test_a_number_as_key_of_python_is_an_id() -> None:
    with HttpServer() as far:
        far.next_ = [answers(200, b"{125: 'P1'}"), answers(200, b"{125: -3}")]
        assert one(deid(far), asked("125")) == Given("P1", -3)


def test_python_is_read_and_never_run() -> None:
    run = answers(200, b"{'125': __import__('os').getcwd()}")
    with HttpServer(run) as far, pytest.raises(Retriable, match="the answer is not JSON"):
        one(deid(far), asked("125"))


def test_nothing_at_the_address_is_a_wrong_setting() -> None:
    with HttpServer(answers(404)) as far, pytest.raises(ConfigurationError, match=r"\(404\): see url"):
        one(deid(far))


def test_dasher_is_told_an_entity_with_its_items(tmp_path: Path) -> None:
    service = Dasher()
    with HttpServer(service) as far:
        made = dasher(far, tmp_path)
        second = asked(AccessionNumber="B-2", StudyDate="", SeriesDate="bad", ContentDate="20210102")
        found = made.give([asked(), second, asked("999-1", AccessionNumber=""), asked()])
        (received,) = far.received
    assert found == [
        Given("12fa", 5, accession="12fb"),
        Given("12fa", 5, accession="12fc"),
        Given("12fd", 5),
        Given("12fa", 5, accession="12fb"),
    ]
    assert made.per_study
    assert (received.method, received.path) == ("POST", "/v1/uid/test-study")
    assert received.json() == {
        "identifiers": [
            _entity(ID.replace("-", ""), [(ACCESSION, "2020-06-15"), ("B-2", "2021-01-02")]),
            _entity("9991", []),
        ]
    }


def _entity(number: str, items: list[tuple[str, str]]) -> dict[str, Any]:
    def named(number: str, source: str, day: str) -> dict[str, Any]:
        return {"id": number, "id_source": source, "id_timestamp": f"{day}T00:00:00Z", "custom_fields": []}

    of_it = [named(each, "DCM Accession #", day) for each, day in items]
    return named(number, "Stanford MRN", "1963-04-17") | {"items": of_it}


def test_dasher_gets_at_most_a_thousand_items_an_entity(tmp_path: Path) -> None:
    with HttpServer(Dasher()) as far:
        found = dasher(far, tmp_path, timeout_s=10.0, total_s=20.0).give(
            [asked(AccessionNumber=f"A{number}") for number in range(1500)]
        )
        assert [len(r.json()["identifiers"][0]["items"]) for r in far.received] == [1000, 500]
    assert len({each.accession for each in found if isinstance(each, Given)}) == 1500


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientBirthDate": ""},
        {"PatientBirthDate": "1963"},
        {"StudyDate": ""},
        {"AccessionNumber": "A/1"},
        {"AccessionNumber": "A 1"},
    ],
)
def test_what_dasher_cannot_be_asked_for_is_missing_and_not_sent(tmp_path: Path, attributes: dict[str, str]) -> None:
    with HttpServer(Dasher()) as far:
        assert isinstance(one(dasher(far, tmp_path), asked(**attributes)), Missing)
        assert isinstance(one(dasher(far, tmp_path), asked("MRN^1")), Missing)
        assert far.received == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda answer: answer["results"].clear(), "does not know the patient"),
        (lambda answer: answer.pop("results"), "results is no list"),
        (lambda answer: answer["results"][0].pop("suid"), "no text as pseudonym"),
        (lambda answer: answer["results"][0].pop("jitter"), "no day shift"),
        (lambda answer: answer["results"][0].pop("items"), "does not know the patient"),
        (lambda answer: answer["results"][0]["items"].clear(), "does not know the patient"),
        (lambda answer: answer["results"][0]["items"][0].pop("jitter"), "no day shift"),
        (lambda answer: answer["results"][0]["items"][0].update(jitter=6), "by different days"),
        (lambda answer: answer["results"][0]["items"][0].update(suid=ACCESSION), "gives back the"),
        (lambda answer: answer["results"][0].update(suid=ID), "gives back the PatientID"),
        (lambda answer: answer["results"].append(answer["results"][0]), "two things of one patient"),
        (lambda answer: answer["results"][0].update(id_source="other"), "does not know the patient"),
    ],
)
def test_what_dasher_says_otherwise_is_missing(tmp_path: Path, change: Any, expected: str) -> None:  # noqa: ANN401  # a callable
    service = Dasher()
    with HttpServer(service) as far:
        service.change = change
        found = one(dasher(far, tmp_path))
    assert isinstance(found, Missing)
    assert expected in found.reason


def test_a_study_whose_item_is_missing_does_not_harm_the_others(tmp_path: Path) -> None:
    service = Dasher()
    service.change = lambda answer: answer["results"][0]["items"].pop()
    with HttpServer(service) as far:
        found = dasher(far, tmp_path).give([asked(), asked(AccessionNumber="B2")])
    assert found == [Given("12fa", 5, accession="12fb"), NOT_KNOWN]


def test_a_token_that_has_ended_is_renewed_and_the_file_rewritten(tmp_path: Path) -> None:
    service = Dasher()
    service.valid = "access-0"
    with HttpServer(service) as far:
        made = dasher(far, tmp_path)
        assert isinstance(one(made), Given)
        assert isinstance(one(made), Given)
        assert [r.path for r in far.received] == [service.path, "/token", service.path, service.path]
        kept = json.loads((tmp_path / "dasher.json").read_text())
        assert kept == {"accessToken": "access-2", "client_id": "deid", "refreshToken": "refresh-2",
                        "token_uri": f"{far.url}/token"}  # fmt: skip
    assert (tmp_path / "dasher.json").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"dasher.json", "dasher.json.lock"}


def test_of_many_that_are_refused_at_once_one_renews_the_token(tmp_path: Path) -> None:
    service = Dasher()
    service.valid = "access-0"
    found: list[Given | Missing] = []
    with HttpServer(service) as far:
        sources = [dasher(far, tmp_path, timeout_s=5.0, total_s=20.0) for _ in range(6)]
        threads = [threading.Thread(target=lambda made=made: found.append(one(made))) for made in sources]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
    assert service.renewed == 1
    assert found == [Given("12fa", 5, accession="12fb")] * 6


def test_a_token_that_cannot_be_renewed_is_a_matter_for_a_person_and_the_file_stays(tmp_path: Path) -> None:
    service = Dasher()
    service.valid, service.refresh = "access-0", "another"
    with HttpServer(service) as far:
        made = dasher(far, tmp_path)
        before = (tmp_path / "dasher.json").read_text()
        with pytest.raises(ConfigurationError, match=r"refuses to renew the token \(400\)"):
            one(made)
        assert (tmp_path / "dasher.json").read_text() == before
        content = json.loads(before)
        for wrong, words in (
            (content | {"token_uri": "http://token.example.org/"}, "that is no https"),
            ({"accessToken": "a"}, "it needs accessToken, refreshToken and token_uri"),
            ([], "it needs"),
        ):
            (tmp_path / "dasher.json").write_text(json.dumps(wrong))
            with pytest.raises(ConfigurationError, match=words):
                one(made)
        (tmp_path / "dasher.json").write_text("{")
        with pytest.raises(ConfigurationError, match="JSONDecodeError"):
            one(made)


def test_a_token_end_point_that_gives_nothing_leaves_the_file(tmp_path: Path) -> None:
    with HttpServer() as far:
        far.next_ = [answers(401), answers(200, {"accessToken": ""}), answers(401)]
        made = dasher(far, tmp_path)
        with pytest.raises(ConfigurationError, match=r"refuses the log-in"):
            one(made)
        assert json.loads((tmp_path / "dasher.json").read_text())["accessToken"] == "access-1"


def gpas(far: HttpServer, **more: Any) -> HttpSource:  # noqa: ANN401  # as in YAML
    return source(far.url + Gpas.path, preset="gpas", gpas={"domain": "MIRACUM"} | more)


def test_gpas_gives_a_pseudonym_of_its_domain() -> None:
    with HttpServer(Gpas()) as far:
        made = gpas(far, original="{IssuerOfPatientID}|{PatientID}")
        assert made.give([asked("1"), asked("2"), asked("1")]) == [
            Given("mrcm_00000000"),
            Given("mrcm_00000001"),
            Given("mrcm_00000000"),
        ]
        assert far.received[0].json()["parameter"][1:] == [
            {"name": "original", "valueString": f"Sankt Fictia|{number}"} for number in (1, 2)
        ]


def test_gpas_may_be_asked_to_make_none() -> None:
    service = Gpas()
    service.known["1"] = "P1"
    with HttpServer(service) as far:
        found = gpas(far, operation="$pseudonymize").give([asked("1"), asked("2")])
    assert found == [Given("P1"), NOT_KNOWN]


def test_an_unknown_domain_of_gpas_is_a_wrong_setting() -> None:
    with HttpServer(Gpas("OTHER")) as far, pytest.raises(ConfigurationError, match="404"):
        one(gpas(far))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"resourceType": "OperationOutcome"}, "another resource"),
        ({"resourceType": "Parameters"}, "does not know"),
        ({"resourceType": "Parameters", "parameter": {}}, "is no list"),
        ([("OTHER", ID, "P1")], "does not know"),
        ([("MIRACUM", "other", "P1")], "does not know"),
        ([("MIRACUM", ID, ID)], "gives back the PatientID"),
        ([("MIRACUM", ID, "")], "is empty"),
        ([("MIRACUM", ID, None)], "no text as pseudonym"),
        ([("MIRACUM", ID, "P1"), ("MIRACUM", ID, "P2")], "two pseudonyms"),
    ],
)
def test_what_gpas_says_otherwise_is_missing(answer: Any, expected: str) -> None:  # noqa: ANN401  # JSON
    if isinstance(answer, list):
        names = ("target", "original", "pseudonym")
        parts = [
            [{"name": name, "valueIdentifier": {"value": value}} for name, value in zip(names, each, strict=True)]
            for each in answer
        ]
        answer = {"resourceType": "Parameters", "parameter": [{"name": "pseudonym", "part": each} for each in parts]}
    with HttpServer(answers(200, answer)) as far:
        found = one(gpas(far))
    assert isinstance(found, Missing)
    assert expected in found.reason


def mainzelliste(far: HttpServer, **more: Any) -> HttpSource:  # noqa: ANN401  # as in YAML
    auth = {"kind": "header", "value_env": "FAR_KEY"}
    return source(far.url + Mainzelliste.path, preset="mainzelliste", auth=auth, **more)


def test_mainzelliste_is_asked_by_session_token_and_fields() -> None:
    with HttpServer(Mainzelliste()) as far:
        made = mainzelliste(far)
        first = one(made)
        other = asked("2", PatientName="Müller^Ñandú")
        assert [first, one(made), one(made, other)] == [Given("0003Y0W0"), Given("0003Y0W0"), Given("0003Y0W1")]
        assert [r.path.split("?")[0].split("/")[-1] for r in far.received] == ["sessions", "tokens", "patients"] * 3
        assert {r.headers["mainzellisteapiversion"] for r in far.received} == {"3.1"}


def test_an_unsure_match_of_mainzelliste_is_missing_and_never_overruled() -> None:
    service = Mainzelliste()
    with HttpServer(service) as far:
        made = mainzelliste(far)
        assert isinstance(one(made), Given)
        found = one(made, asked("2", PatientBirthDate="19630418"))
        assert isinstance(found, Missing)
        assert "not sure whether it knows the patient" in found.reason
        assert b"sureness" not in b"".join(r.body for r in far.received)
        service.tentative = True
        assert isinstance(one(made), Missing)


def test_a_patient_without_all_fields_is_not_told_to_mainzelliste() -> None:
    with HttpServer(Mainzelliste()) as far:
        assert isinstance(one(mainzelliste(far), asked(PatientBirthDate="")), Missing)
        assert isinstance(one(mainzelliste(far), asked(PatientName="Alone")), Missing)
        assert far.received == []


@pytest.mark.parametrize(
    ("session", "patients", "expected"),
    [
        ({"sessionId": "../../x"}, [], "no id of a session"),
        ({}, [], "no id of a session"),
        ({"sessionId": "s"}, {}, "is no list"),
        ({"sessionId": "s"}, [], "one id of the type"),
        ({"sessionId": "s"}, [{"idType": "other", "idString": "P1"}], "one id of the type"),
        ({"sessionId": "s"}, [{"idType": "pid", "idString": "P1"}, {"idType": "pid", "idString": "P2"}], "one id of"),
        ({"sessionId": "s"}, [{"idType": "pid", "idString": "P1", "tentative": "true"}], "not sure"),
        ({"sessionId": "s"}, [{"idType": "pid", "idString": 7}], "no text as pseudonym"),
    ],
)
def test_what_mainzelliste_says_otherwise_is_missing(session: object, patients: object, expected: str) -> None:
    with HttpServer() as far:
        far.next_ = [answers(201, session), answers(201, {"id": "t"}), answers(201, patients)]
        found = one(mainzelliste(far))
    assert isinstance(found, Missing)
    assert expected in found.reason
