"""Any service by templates and JSON pointers: what is sent, what is believed, what is refused."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_servers import Authority, HttpServer, answers
from orthanc_deid.errors import ConfigurationError, Retriable
from orthanc_deid.pseudonymization.base import Given, Missing
from planting import ACCESSION, ID
from pseudonym_cases import GENERIC, asked, one, source

WHOLE = GENERIC | {
    "offset_days": "/data/0/days",
    "subject": "/data/0/subject",
    "session": "/data/0/session",
    "accession": "/data/0/accession",
}
ANSWER = {"pseudonym": "P0001", "days": -5, "subject": "SUB1", "session": "S1", "accession": "A1"}


@pytest.fixture
def far() -> Iterator[HttpServer]:
    with HttpServer(answers(200, {"data": [ANSWER]})) as server:
        yield server


def test_what_pointers_lead_to_is_given(far: HttpServer) -> None:
    assert one(source(far.url, **WHOLE)) == Given("P0001", -5, "SUB1", "S1", "A1")
    assert one(source(far.url, **GENERIC)) == Given("P0001")


def test_the_template_is_filled_and_the_address_holds_nothing(far: HttpServer) -> None:
    made = source(f"{far.url}/psn/", method="PUT", headers={"X-Site": "7"}, **GENERIC)
    one(made, asked('quote"d\\'))
    (received,) = far.received
    assert (received.method, received.path, received.headers["x-site"]) == ("PUT", "/psn", "7")
    study = asked().read("StudyInstanceUID")
    assert received.json() == {"who": {"id": 'quote"d\\', "issuer": "Sankt Fictia"}, "study": study, "n": 1}


def test_a_secret_is_read_from_file_or_environment_at_the_moment_of_use(
    far: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("s3cret-1\n")
    monkeypatch.setenv("FAR_SECRET", "s3cret-2")
    headers = {"X-Key": {"file": "secret"}, "X-Other": {"env": "FAR_SECRET", "prefix": "v "}}
    auth = {"kind": "basic", "username": "u", "password_file": "secret"}
    made = source(far.url, tmp_path, secret_headers=headers, auth=auth, **GENERIC)
    one(made)
    (tmp_path / "secret").write_text("s3cret-3\n")
    one(made)
    assert [(r.headers["x-key"], r.headers["x-other"]) for r in far.received] == [
        ("s3cret-1", "v s3cret-2"),
        ("s3cret-3", "v s3cret-2"),
    ]
    assert far.received[0].headers["authorization"].startswith("Basic ")
    assert "s3cret" not in repr(vars(made))
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigurationError, match="secret file secret"):
        one(made)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "holds nothing where `pseudonym` points to"),
        ([], "holds nothing where `pseudonym` points to"),
        ({"data": []}, "holds nothing"),
        ({"data": [{"pseudonym": None}]}, "holds no text as pseudonym"),
        ({"data": [{"pseudonym": 7}]}, "holds no text as pseudonym"),
        ({"data": [{"pseudonym": True}]}, "holds no text as pseudonym"),
        ({"data": [{"pseudonym": ["P1"]}]}, "holds no text as pseudonym"),
        ({"data": [{"pseudonym": ""}]}, "is empty"),
        ({"data": [{"pseudonym": "  "}]}, "is empty"),
        ({"data": [{"pseudonym": " P1"}]}, "begins or ends with a blank"),
        ({"data": [{"pseudonym": "P" * 65}]}, "is longer than 64"),
        ({"data": [{"pseudonym": "P\\1"}]}, "holds a backslash"),
        ({"data": [{"pseudonym": "P\n1"}]}, "holds a control character"),
        ({"data": [{"pseudonym": "Pé"}]}, "holds a control character, or one outside of ASCII"),
        ({"data": [{"pseudonym": "P^1"}]}, "holds one of"),
        ({"data": [{"pseudonym": ID}]}, "gives back the PatientID"),
        ({"data": [{"pseudonym": ID.lower()}]}, "gives back the PatientID"),
        ({"data": [{"pseudonym": ID.replace("-", "")}]}, "gives back the PatientID"),
        ({"data": [{"pseudonym": ACCESSION}]}, "gives back the PatientID or accession number"),
        (b'{"data": [{"pseudonym": "P1", "pseudonym": "P2"}]}', "a key stands twice"),
    ],
)
def test_an_answer_that_cannot_be_believed_is_missing(far: HttpServer, answer: Any, reason: str) -> None:  # noqa: ANN401  # JSON
    far.always = answers(200, answer)
    found = one(source(far.url, **GENERIC))
    assert isinstance(found, Missing)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"days": 1.5}, "no day shift"),
        ({"days": "soon"}, "is not a whole number"),
        ({"days": True}, "no day shift"),
        ({"days": None}, "no day shift"),
        ({"days": 40000}, "is not a whole number of days"),
        ({"subject": 7}, "no text as subject"),
        ({"session": ""}, "session that the service gives is empty"),
        ({"accession": "A" * 17}, "is longer than 16"),
    ],
)
def test_a_part_that_cannot_be_believed_makes_all_of_it_missing(
    far: HttpServer, change: dict[str, Any], reason: str
) -> None:
    far.always = answers(200, {"data": [ANSWER | change]})
    found = one(source(far.url, **WHOLE))
    assert isinstance(found, Missing)
    assert reason in found.reason


@pytest.mark.parametrize("part", ["days", "subject", "session", "accession"])
def test_a_part_that_is_not_there_makes_all_of_it_missing(far: HttpServer, part: str) -> None:
    far.always = answers(200, {"data": [{key: value for key, value in ANSWER.items() if key != part}]})
    assert isinstance(one(source(far.url, **WHOLE)), Missing)


def test_a_shift_is_a_number_or_a_text_and_none_for_0(far: HttpServer) -> None:
    for value, expected in (("-5", -5), (12, 12), (0, None), ("0", None)):
        far.always = answers(200, {"data": [ANSWER | {"days": value}]})
        assert one(source(far.url, **GENERIC, offset_days="/data/0/days")) == Given("P0001", expected)


def test_who_is_not_known_is_told_by_code_or_by_a_value(far: HttpServer) -> None:
    rule = {"codes": (404, 410), "pointer": "/status", "equals": "unknown"}
    made = source(far.url, missing=rule, **GENERIC)
    for answer in (answers(404), answers(410), answers(200, {"status": "unknown", "data": [ANSWER]})):
        far.next_ = [answer]
        assert one(made) == Missing("the pseudonym service does not know the patient")
    assert one(made) == Given("P0001")
    far.next_ = [answers(200, {"data": None})]
    assert one(source(far.url, missing={"pointer": "/data"}, **GENERIC)) == Missing(
        "the pseudonym service does not know the patient"
    )
    far.next_ = [answers(200, {"ok": 0, "data": [ANSWER]})]
    assert one(source(far.url, missing={"pointer": "/ok", "equals": False}, **GENERIC)) == Given("P0001")


def test_a_pointer_may_hold_what_was_asked_for(far: HttpServer) -> None:
    far.always = answers(200, {"a/b~c": {"": "P7"}})
    made = source(far.url, body=["{PatientID}"], pseudonym="/{PatientID}/")
    assert one(made, asked("a/b~c")) == Given("P7")


@pytest.mark.parametrize("code", [400, 405, 409, 413, 422, 501])
def test_a_refusal_is_missing_and_told_by_its_code(far: HttpServer, code: int) -> None:
    far.always = answers(code, b"MRN-770001 is wrong")
    assert one(source(far.url, **GENERIC)) == Missing(f"pseudonym service: it refuses what is sent with code {code}")
    assert len(far.received) == 1


def test_each_study_gets_its_own_answer(far: HttpServer) -> None:
    far.next_ = [answers(200, {"data": [{"pseudonym": "P1"}]}), answers(404), answers(422)]
    made = source(far.url, **GENERIC)
    found = made.give([asked("1"), asked("2"), asked("3"), asked("4")])
    assert [type(each) for each in found] == [Given, Missing, Missing, Given]
    assert (found[0], found[3]) == (Given("P1"), Given("P0001"))


def test_it_is_asked_for_each_study_where_it_gives_what_is_of_a_study(far: HttpServer) -> None:
    assert not source(far.url, **GENERIC, subject="/s").per_study
    assert source(far.url, **GENERIC, session="/s").per_study
    assert source(far.url, **GENERIC, accession="/s").per_study
    assert source(far.url, **GENERIC).steady


def test_a_preview_asks_the_service_as_well(far: HttpServer) -> None:
    assert source(far.url, **GENERIC).preview([asked(), asked("2")]) == [Given("P0001")] * 2
    assert len(far.received) == 2


def tls(authority: Authority, **more: Any) -> HttpServer:  # noqa: ANN401  # of Authority.context
    context: ssl.SSLContext = authority.context(**more)
    return HttpServer(answers(200, {"data": [ANSWER]}), tls=context)


def test_a_certificate_is_always_verified_and_ours_is_shown(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = ours.certificate("client", address=None)
    with tls(ours, clients=True) as far:
        good = {"ca_file": ours.file.name, "certificate_file": certificate.name, "key_file": key.name}
        assert one(source(far.url, tmp_path, **GENERIC, **good)) == Given("P0001")
        for wrong in (good | {"ca_file": other.file.name}, good | {"ca_file": None}):
            with pytest.raises(ConfigurationError, match="authority that is not trusted"):
                one(source(far.url, tmp_path, **GENERIC, **wrong))
        with pytest.raises((ConfigurationError, Retriable), match=r"certificate of ours|connection failed"):
            one(source(far.url, tmp_path, **GENERIC, ca_file=ours.file.name))
        assert len(far.received) == 1
    with tls(ours, expired=True) as far, pytest.raises(ConfigurationError, match="has expired"):
        one(source(far.url, tmp_path, **GENERIC, ca_file=ours.file.name))
