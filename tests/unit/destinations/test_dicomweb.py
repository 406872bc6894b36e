"""A DICOMweb server by STOW-RS: a second real Orthanc, and one that misbehaves as it is told."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from certificates import Authority
from dicomweb_server import DicomwebServerStub, WebManners
from orthanc_deid.destinations.base import Shipment
from orthanc_deid.destinations.dicom import dicomweb_client
from orthanc_deid.destinations.dicom.dicomweb import DicomwebDestination
from orthanc_deid.errors import ConfigurationError, Postponed, Rejected, Retriable
from orthanc_deid.settings.network import Dicomweb
from orthanc_deid.web import oauth
from servers import OrthancServer, free_port
from shipments import NoPace, client, make_shipment, passing
from studies import Person, ct_study

PERSON = Person()
PLUGIN = ("libOrthancDicomWeb.so",)


@pytest.fixture(autouse=True)
def _no_tokens() -> None:
    oauth.forget()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc with the plugin and a study of six instances; it sends."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("sender"), name="SENDER", plugins=PLUGIN).start()
    for file in ct_study(PERSON, 6):
        orthanc.upload(file).raise_for_status()
    yield orthanc
    orthanc.kill()


@pytest.fixture
def shipment(server: OrthancServer, tmp_path: Path) -> Shipment:
    """Answer all six instances as a shipment."""
    return make_shipment(tmp_path, server, server.studies()[0])


@pytest.fixture
def stub() -> Iterator[DicomwebServerStub]:
    """Answer a server whose manners a test may change."""
    with DicomwebServerStub() as made:
        yield made


def settings(url: str, **more: Any) -> Dicomweb:  # noqa: ANN401  # settings
    return TypeAdapter(Dicomweb).validate_python(
        {"kind": "dicomweb", "name": "web", "url": url, "timeout_s": 5, "sent_by": "worker"} | more
    )


def destination(server: OrthancServer, url: str, **more: Any) -> DicomwebDestination:  # noqa: ANN401  # settings
    return DicomwebDestination(settings(url, **more), client(server))


def uids(server: OrthancServer, ids: list[str]) -> list[str]:
    return [server.get(f"/instances/{i}").json()["MainDicomTags"]["SOPInstanceUID"] for i in ids]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer a second Orthanc with the plugin; it receives."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("archive"), name="ARCHIVE", plugins=PLUGIN).start()
    yield orthanc
    orthanc.kill()


@pytest.mark.parametrize("sent_by", ["orthanc", "worker"])
def test_a_study_arrives_byte_for_byte_and_once(
    server: OrthancServer, archive: OrthancServer, shipment: Shipment, sent_by: str
) -> None:
    for study in archive.studies():
        archive.request("DELETE", f"/studies/{study}")
    before = server.get("/jobs").json()
    there = destination(
        server,
        f"{archive.url}/dicom-web/",
        username="admin",
        password_file=archive.home / "admin-password",
        sent_by=sent_by,
    )
    assert there.check() == "answers QIDO-RS"
    with pytest.raises(Retriable, match="0 of 6 instances are at the destination"):
        there.confirm(shipment)
    there.send(shipment)
    assert there.confirm(shipment) == 6
    for instance in shipment.all:
        assert archive.get(f"/instances/{instance}/file").content == server.get(f"/instances/{instance}/file").content
    jobs = [job for job in server.get("/jobs?expand").json() if job["ID"] not in before]
    assert [job["State"] for job in jobs] == (["Success"] if sent_by == "orthanc" else [])
    seen = archive.get("/changes?last").json()["Last"]
    missing = archive.instances()[0]
    archive.request("DELETE", f"/instances/{missing}").raise_for_status()
    there.send(shipment)
    assert there.confirm(shipment) == 6
    changes = archive.get(f"/changes?since={seen}&limit=1000").json()["Changes"]
    assert [c["ID"] for c in changes if c["ChangeType"] == "NewInstance"] == [missing]


def test_what_orthanc_cannot_send_the_worker_sends_and_hears_why(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    refused = uids(server, list(shipment.all))[1]
    stub.manners = WebManners(refuses={refused: 0x0122})
    there = destination(server, stub.url, sent_by="orthanc")
    with pytest.raises(Rejected, match=r"refused 1 of 6 instances: 1 SOP class not supported \(0x0122\)"):
        there.send(shipment)
    assert len(stub.held) == 5
    stub.manners = WebManners()
    stub.came.clear()
    there.send(shipment)
    assert stub.came == [refused]
    assert there.confirm(shipment) == 6


def test_what_is_there_already_is_not_sent_again(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    there = destination(server, stub.url)
    there.send(shipment)
    there.send(shipment)
    assert len(stub.came) == 6
    assert there.confirm(shipment) == 6


def test_late_instances_travel_alone(server: OrthancServer, stub: DicomwebServerStub, tmp_path: Path) -> None:
    study = server.studies()[0]
    ids = sorted(client(server).instance_ids(study))
    there = destination(server, stub.url)
    there.send(make_shipment(tmp_path, server, study, new=ids[:4], every=ids[:4]))
    stub.came.clear()
    late = make_shipment(tmp_path, server, study, new=ids[4:], version=2)
    there.send(late)
    assert sorted(stub.came) == sorted(uids(server, ids[4:]))
    assert there.confirm(late) == 6


@pytest.mark.parametrize(
    "manners",
    [
        WebManners(page=2),
        WebManners(paging=False),
        WebManners(page=4, paging=False),
        WebManners(nothing=204),
        WebManners(nothing=404),
        WebManners(says_nothing=True),
    ],
    ids=["pages of two", "no paging", "bounded without paging", "204", "404", "no body"],
)
def test_every_habit_of_a_server_is_understood(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub, manners: WebManners
) -> None:
    stub.manners = manners
    there = destination(server, stub.url)
    there.send(shipment)
    assert there.confirm(shipment) == 6
    stub.held.popitem()
    with pytest.raises(Retriable, match="5 of 6 instances"):
        there.confirm(shipment)


def test_a_server_that_accepts_and_does_not_keep_is_found_out(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    stub.manners = WebManners(keeps=False)
    there = destination(server, stub.url)
    there.send(shipment)
    with pytest.raises(Retriable, match="0 of 6 instances"):
        there.confirm(shipment)


def test_a_full_server_is_tried_again(server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub) -> None:
    stub.manners = WebManners(refuses=dict.fromkeys(uids(server, list(shipment.all)), 0xA700))
    with pytest.raises(Retriable, match=r"refused 6 of 6 instances: 6 out of resources \(0xA700\)"):
        destination(server, stub.url).send(shipment)


def test_a_duplicate_counts_as_there(server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub) -> None:
    there = destination(server, stub.url, ask_first=False)
    there.send(shipment)
    stub.manners = WebManners(refuses=dict.fromkeys(stub.held, 0x0111))
    there.send(shipment)
    assert there.confirm(shipment) == 6


def in_an_hour() -> str:
    """Return the time as a header has it; the parameters below are made long before their test runs."""
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("manners", "kind", "words", "after_s"),
    [
        (WebManners(code=503, retry_after="7"), Retriable, r"away or overloaded \(503\)", (7, 7)),
        (WebManners(code=429, retry_after=in_an_hour()), Retriable, r"away or overloaded \(429\)", (1, 3600)),
        (WebManners(code=503, retry_after="soon"), Retriable, r"away or overloaded \(503\)", (0, 0)),
        (WebManners(store_code=507), Retriable, r"away or overloaded \(507\)", (0, 0)),
        (WebManners(code=403), Retriable, r"refuses the log-in \(403\)", (0, 0)),
        (WebManners(login="Basic x"), Retriable, r"refuses the log-in \(401\)", (0, 0)),
        (WebManners(store_code=413), Rejected, "refuses with code 413", None),
        (WebManners(store_code=404), Rejected, "url is not its DICOMweb root", None),
        (WebManners(code=302), Rejected, "points elsewhere", None),
    ],
)
def test_each_refusal_has_its_reason(
    server: OrthancServer,
    shipment: Shipment,
    stub: DicomwebServerStub,
    manners: WebManners,
    kind: type[Exception],
    words: str,
    after_s: tuple[float, float] | None,
) -> None:
    stub.manners = manners
    with pytest.raises(kind, match=words) as caught:
        destination(server, stub.url).send(shipment)
    if after_s:
        assert after_s[0] <= caught.value.after_s <= after_s[1]  # type: ignore[attr-defined]  # of Retriable
    assert not stub.held
    stub.manners = WebManners()
    there = destination(server, stub.url)
    there.send(shipment)
    assert there.confirm(shipment) == 6


def test_a_server_that_is_down_slow_or_hangs_up_says_so(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    there = destination(server, f"http://127.0.0.1:{free_port()}/")
    for act in (there.check, lambda: there.send(shipment), lambda: there.confirm(shipment)):
        with pytest.raises(Retriable, match="cannot be reached: connection refused"):
            act()
    stub.manners = WebManners(sleep_s=2)
    with pytest.raises(Retriable, match="cannot be reached: no answer in time"):
        destination(server, stub.url, timeout_s=1).send(shipment)
    stub.manners = WebManners(cut_after=3000)
    with pytest.raises(Retriable, match="cannot be reached"):
        destination(server, stub.url).send(shipment)
    assert not stub.held


def test_a_server_without_qido_gets_all_and_cannot_be_confirmed(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    stub.manners = WebManners(qido=False)
    there = destination(server, stub.url)
    there.send(shipment)
    assert len(stub.held) == 6
    for act in (there.check, lambda: there.confirm(shipment)):
        with pytest.raises(Retriable, match=r"does not answer QIDO-RS \(code 501\)"):
            act()


def test_a_certificate_that_is_not_trusted_or_has_expired_stops_it(
    server: OrthancServer, shipment: Shipment, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    with DicomwebServerStub(pair=authority.issue("good")) as stub:
        with pytest.raises(Retriable, match="TLS certificate is not trusted: see ca_file"):
            destination(server, stub.url).send(shipment)
        assert not stub.requests
        there = destination(server, stub.url, ca_file=authority.certificate)
        there.send(shipment)
        assert there.confirm(shipment) == 6
    with DicomwebServerStub(pair=authority.issue("old", expired=True)) as stub:
        with pytest.raises(Retriable, match="TLS certificate has expired"):
            destination(server, stub.url, ca_file=authority.certificate).send(shipment)
        assert not stub.requests
    with pytest.raises(ConfigurationError, match="ca_file: there is no such file"):
        destination(server, stub.url, ca_file=tmp_path / "none").check()


@pytest.mark.parametrize("sent_by", ["orthanc", "worker"])
def test_a_token_goes_along(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub, tmp_path: Path, sent_by: str
) -> None:
    stub.manners = WebManners(login="Bearer letmein")
    token = tmp_path / "token"
    token.write_text("letmein\n")
    there = destination(server, stub.url, token_file=token, sent_by=sent_by)
    there.send(shipment)
    assert there.confirm(shipment) == 6
    token.write_text("rotated\n")
    with pytest.raises(Retriable, match=r"refuses the log-in \(401\)"):
        there.check()
    stub.manners = WebManners(login="Bearer rotated")
    there.check()


def test_a_token_is_fetched_and_renewed_when_the_server_wants_another(
    server: OrthancServer, shipment: Shipment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("WEB_SECRET", "secret")
    with DicomwebServerStub(pair=authority.issue("good")) as stub:
        login = {"token_url": f"{stub.origin}/token", "client_id": "us", "client_secret_env": "WEB_SECRET"}
        there = destination(server, stub.url, oauth=login, ca_file=authority.certificate)
        there.send(shipment)
        assert stub.tokens == ["token-0"]
        stub.tokens.append("another")
        assert there.confirm(shipment) == 6
        assert stub.tokens[-1] == "token-2"
        oauth.forget()
        monkeypatch.setenv("WEB_SECRET", "wrong")
        with pytest.raises(ConfigurationError, match="token end point refuses the client with code 401"):
            there.check()
        monkeypatch.delenv("WEB_SECRET")
        with pytest.raises(ConfigurationError, match="WEB_SECRET is not set"):
            there.check()


def test_a_token_end_point_that_redirects_gets_no_secret_elsewhere(
    server: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    monkeypatch.setenv("WEB_SECRET", "secret")
    with DicomwebServerStub(pair=authority.issue("good")) as stub:
        stub.manners = WebManners(token_code=302)
        login = {"token_url": f"{stub.origin}/token", "client_id": "us", "client_secret_env": "WEB_SECRET"}
        with pytest.raises(ConfigurationError, match="refuses the client with code 302"):
            destination(server, stub.url, oauth=login, ca_file=authority.certificate).check()
        assert stub.requests == ["POST /token"]


def test_an_answer_without_end_is_left(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb_client, "MOST_BYTES", 1 << 20)
    stub.manners = WebManners(padding=2 << 20)
    with pytest.raises(Rejected, match="answer is longer than 1 MiB"):
        destination(server, stub.url).confirm(shipment)


def test_a_user_of_any_alphabet_logs_in(
    server: OrthancServer, stub: DicomwebServerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_PASSWORD", "pässwört Ω")
    stub.manners = WebManners(login="Basic " + base64.b64encode("jürgen:pässwört Ω".encode()).decode())
    destination(server, stub.url, username="jürgen", password_env="WEB_PASSWORD").check()


def test_a_token_that_no_header_can_hold_is_not_shown(
    server: OrthancServer, stub: DicomwebServerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_TOKEN", "let\nmeΩin")
    with pytest.raises(ConfigurationError, match="printable ASCII") as caught:
        destination(server, stub.url, token_env="WEB_TOKEN").check()
    assert "me" not in str(caught.value).split()
    assert not stub.requests


def test_a_pause_keeps_what_was_sent(server: OrthancServer, stub: DicomwebServerStub, tmp_path: Path) -> None:
    study = server.studies()[0]
    there = destination(server, stub.url, bytes_per_s=1024)
    with pytest.raises(Postponed):
        there.send(make_shipment(tmp_path, server, study, pace=NoPace(until=1)))
    assert 0 < len(stub.came) < 6
    there.send(make_shipment(tmp_path, server, study))
    assert len(stub.came) == 6


def test_a_server_of_the_site_is_left_alone_and_the_missing_plugin_is_named(
    server: OrthancServer, stub: DicomwebServerStub, tmp_path: Path
) -> None:
    server.request("PUT", "/dicom-web/servers/web", json={"Url": "http://10.0.0.1/"}).raise_for_status()
    destination(server, stub.url, sent_by="orthanc").check()
    assert server.get("/dicom-web/servers?expand").json()["web"]["Url"] == "http://10.0.0.1/"
    with (
        passing(OrthancServer(tmp_path / "plain")) as plain,
        pytest.raises(ConfigurationError, match="no DICOMweb plugin"),
    ):
        destination(plain, stub.url, sent_by="orthanc").check()


def test_no_value_of_the_study_is_in_a_reason(
    server: OrthancServer, shipment: Shipment, stub: DicomwebServerStub
) -> None:
    study = server.get(f"/studies/{shipment.output}").json()["MainDicomTags"]["StudyInstanceUID"]
    secrets = (*PERSON.markers, study, shipment.output, *shipment.all, "127.0.0.1", "dicom-web/")
    reasons = []
    for manners in (
        WebManners(code=500),
        WebManners(store_code=400),
        WebManners(cut_after=10),
        WebManners(keeps=False),
    ):
        stub.manners = manners
        there = destination(server, stub.url)
        with pytest.raises((Retriable, Rejected)) as caught:  # noqa: PT012  # one of the two
            there.send(shipment)
            there.confirm(shipment)
        assert caught.value.__cause__ is None
        reasons.append(str(caught.value))
    assert not [secret for secret in secrets for reason in reasons if secret in reason]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"username": "a"}, "username needs password_file"),
        ({"password_env": "A"}, "username needs password_file"),
        ({"token_env": "A", "token_file": "/a"}, "token_file or token_env"),
        ({"token_env": "A", "username": "a", "password_env": "B"}, "one log-in"),
        ({"certificate_file": "/a"}, "belong together"),
        ({"url": "http://a:b@c/"}, "a password does not belong here"),
        ({"url": "http://c/?q=1"}, "the root alone"),
        ({"oauth": {"token_url": "https://a", "client_id": "b"}}, "client_secret_file or client_secret_env"),
        ({"oauth": {"token_url": "http://a", "client_id": "b", "client_secret_env": "A"}}, "https"),
        ({"oauth": {"token_url": "https://a", "client_id": "b", "client_secret_env": "A", "scope": "c"}}, "tuple"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**({"url": "http://c/"} | more))
