"""The destination `http` on its way to a server that keeps what it takes."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from http_cases import JSON, RAW, HeldStudy, destination
from http_servers import HttpServer, Received, answers, keeps, takes_and_hangs_up
from orthanc_deid.destinations.base import Converted
from orthanc_deid.errors import Postponed, Rejected, Retriable
from servers import OrthancServer
from shipments import FileJournal, FixedResults, NoPace, make_shipment, passing
from studies import ROOT

EACH = {"uid": "{SOPInstanceUID}", "data": "data:image/png;base64,{picture_base64}", "n": "{InstanceNumber:d}"}
LIST = {
    "path": "/studies/{StudyInstanceUID}",
    "method": "PUT",
    "level": "series",
    "content": "png",
    "body": "json",
    "headers": {"X-Series": "{SeriesInstanceUID}"},
    "template": {"all": "{pictures}", "count": "{picture_count}", "each": {"{pictures}": EACH}, "fixed": [1, True]},
}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with passing(OrthancServer(tmp_path_factory.mktemp("orthanc"))) as server:
        yield server


@pytest.fixture
def study(orthanc: OrthancServer, tmp_path: Path) -> HeldStudy:
    for each in orthanc.studies():
        orthanc.request("DELETE", f"/studies/{each}")
    return HeldStudy(orthanc, tmp_path / "pictures")


@pytest.fixture
def far() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def form(request: Received) -> list[Message]:
    """Answer the parts of a form."""
    whole = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + request.body
    parts = message_from_bytes(whole).get_payload()
    assert isinstance(parts, list)
    return [part for part in parts if isinstance(part, Message)]


def test_each_instance_goes_as_json_with_its_picture(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    there = destination(far.url, JSON)
    shipment = make_shipment(tmp_path, study.server, study.id, results=study.results())
    there.send(shipment)
    sent = [request.json() for request in far.received]
    assert {each["uid"] for each in sent} == {f"{ROOT}.7.1.1.1", f"{ROOT}.7.1.1.2", f"{ROOT}.7.1.2.1"}
    for each in sent:
        assert base64.b64decode(each["image"]).startswith(f"picture {each['uid']} ".encode())
        assert each["study"] == f"{ROOT}.7.1"
    assert all(r.headers["content-type"] == "application/json" for r in far.received)
    assert all(int(r.headers["content-length"]) == len(r.body) for r in far.received)
    assert there.confirm(shipment) == 3
    assert list(shipment.work.iterdir()) == []


def test_a_series_goes_as_one_document_with_a_list_of_its_pictures(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    there = destination(far.url, LIST)
    shipment = make_shipment(tmp_path, study.server, study.id, results=study.results())
    there.send(shipment)
    assert {(r.method, r.path) for r in far.received} == {("PUT", f"/studies/{ROOT}.7.1")}
    first = next(r for r in far.received if r.headers["x-series"] == f"{ROOT}.7.1.1").json()
    assert (first["count"], first["fixed"]) == ("2", [1, True])
    assert {each["n"] for each in first["each"]} == {1, 2}
    assert [f"data:image/png;base64,{each}" for each in first["all"]] == [each["data"] for each in first["each"]]
    assert there.confirm(shipment) == 3


def test_dicom_files_go_as_they_are(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.server, study.id)
    destination(far.url, RAW).send(shipment)
    expected = sorted(shipment.orthanc.file(instance) for instance in study.instances)
    assert sorted(r.body for r in far.received) == expected
    assert isinstance(shipment.pace, NoPace)
    assert shipment.pace.bytes_sent == sum(map(len, expected))
    assert list(shipment.work.iterdir()) == []


def test_a_study_goes_as_one_zip(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.server, study.id)
    destination(far.url, {"content": "zip", "body": "raw", "level": "study"}).send(shipment)
    (request,) = far.received
    assert (request.path, request.headers["content-type"]) == ("/", "application/zip")
    names = set(zipfile.ZipFile(io.BytesIO(request.body)).namelist())
    assert names == {f"{ROOT}.7.1.{s}/{ROOT}.7.1.{s}.{n}.dcm" for s, n in ((1, 1), (1, 2), (2, 1))}


@pytest.mark.parametrize("content", ["dicom", "zip"])
def test_a_form_holds_fields_and_files(study: HeldStudy, far: HttpServer, tmp_path: Path, content: str) -> None:
    send = {"content": content, "body": "multipart", "level": "study", "template": {"study": "{StudyInstanceUID}"}}
    shipment = make_shipment(tmp_path, study.server, study.id)
    destination(far.url, send).send(shipment)
    (request,) = far.received
    field, *files = form(request)
    assert field.get_payload() == f"{ROOT}.7.1"
    assert len(files) == (3 if content == "dicom" else 1)
    names = {file.get_filename() for file in files}
    assert names == ({f"{ROOT}.7.1.{s}.{n}.dcm" for s, n in ((1, 1), (1, 2), (2, 1))} if content == "dicom" else {"study.zip"})  # fmt: skip  # noqa: E501
    contents = {file.get_payload(decode=True) for file in files}
    if content == "dicom":
        assert contents == {shipment.orthanc.file(instance) for instance in study.instances}


def test_what_was_sent_is_not_sent_again(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    for _ in range(2):
        destination(far.url, RAW).send(make_shipment(tmp_path, study.server, study.id))
    assert len(far.received) == 3


def test_a_send_that_was_broken_off_is_finished(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    far.next_ = [keeps, answers(503)]
    there = destination(far.url, RAW)
    with pytest.raises(Retriable):
        there.send(make_shipment(tmp_path, study.server, study.id))
    shipment = make_shipment(tmp_path, study.server, study.id)
    with pytest.raises(Retriable, match="1 of 3 instances are at the destination"):
        there.confirm(shipment)
    there.send(shipment)
    assert (len(far.kept), far.doubles, len(far.received)) == (3, 0, 4)
    assert there.confirm(shipment) == 3


def test_a_request_whose_answer_was_lost_is_made_again_as_the_same(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    send = {"content": "zip", "body": "raw", "level": "series"}
    far.next_ = [takes_and_hangs_up]
    with pytest.raises(Retriable):
        destination(far.url, send).send(make_shipment(tmp_path, study.server, study.id))
    late = study.add(1, 3)  # it must not change the request of which nobody knows whether it arrived
    shipment = make_shipment(tmp_path, study.server, study.id)
    assert late in shipment.new
    destination(far.url, send).send(shipment)
    assert far.doubles == 1
    names = [zipfile.ZipFile(io.BytesIO(kept.body)).namelist() for kept in far.kept.values()]
    flat = [name for each in names for name in each]
    assert len(flat) == len(set(flat)) == 4


def test_late_instances_go_alone(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    send = {"content": "zip", "body": "raw", "level": "study"}
    there = destination(far.url, send)
    there.send(make_shipment(tmp_path, study.server, study.id))
    late = study.add(1, 3)
    shipment = make_shipment(tmp_path, study.server, study.id, new=[late], version=2)
    there.send(shipment)
    assert zipfile.ZipFile(io.BytesIO(far.received[-1].body)).namelist() == [f"{ROOT}.7.1.1/{ROOT}.7.1.1.3.dcm"]
    assert there.confirm(shipment) == 4


def test_an_instance_whose_content_has_changed_is_sent_again(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    exists = {"method": "HEAD", "path": "/instances/{SOPInstanceUID}"}
    there = destination(far.url, JSON, exists=exists)
    far.always = lambda handler, request: (answers(404) if request.method == "HEAD" else keeps)(handler, request)
    results = study.results()
    there.send(make_shipment(tmp_path, study.server, study.id, results=results))
    picture = results.pictures("png")[0].files[0]
    picture.write_bytes(b"drawn in another way")
    # The far side has the old one: its yes must not keep the new one here.
    far.always = lambda handler, request: (answers(200) if request.method == "HEAD" else keeps)(handler, request)
    far.next_ = [takes_and_hangs_up]
    with pytest.raises(Retriable):
        there.send(make_shipment(tmp_path, study.server, study.id, results=results))
    there.send(make_shipment(tmp_path, study.server, study.id, results=results))
    assert [r.json()["image"] for r in far.sent()][-1] == base64.b64encode(b"drawn in another way").decode()
    assert (len(far.kept), far.doubles) == (4, 1)


def test_what_the_far_side_has_is_asked_and_not_sent(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    have = f"{ROOT}.7.1.1.2"

    def far_side(handler: object, request: Received) -> None:
        if request.method == "HEAD":
            answers(200 if request.path.endswith(have) else 404)(handler, request)  # type: ignore[arg-type]
        else:
            keeps(handler, request)  # type: ignore[arg-type]

    far.always = far_side
    there = destination(far.url, RAW, exists={"method": "HEAD", "path": "/instances/{SOPInstanceUID}"})
    shipment = make_shipment(tmp_path, study.server, study.id)
    there.send(shipment)
    assert len(far.sent()) == 2
    assert there.confirm(shipment) == 3


def test_a_code_that_means_there_already_is_as_good_as_success(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    far.next_ = [answers(409)]
    with pytest.raises(Rejected, match="code 409"):
        destination(far.url, RAW).send(make_shipment(tmp_path / "a", study.server, study.id))
    far.next_ = [answers(409)]
    there = destination(far.url, {**RAW, "there_already": (409,)})
    shipment = make_shipment(tmp_path / "b", study.server, study.id)
    there.send(shipment)
    assert there.confirm(shipment) == 3


def test_the_far_sides_id_is_remembered_and_asked_after_until_it_is_done(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    send = {**RAW, "remote": "/id", "rule": {"pointer": "/status", "equals": "ok"}}
    confirm = {
        "path": "/jobs/{remote}",
        "rule": {"pointer": "/state", "equals": "ready"},
        "failed": {"pointer": "/state", "matches": "fail.*"},
    }
    there = destination(far.url, send, confirm=confirm)
    shipment = make_shipment(tmp_path, study.server, study.id)
    there.send(shipment)
    far.next_ = [answers(200, {"state": "ready"}), answers(200, {"state": "busy"}), answers(404)]
    with pytest.raises(Retriable, match="not done with 2 of 3"):
        there.confirm(shipment)
    asked = [r.path for r in far.received if r.method == "GET"]
    assert len(asked) == 3
    assert set(asked) == {f"/jobs/far-{key[:12]}" for key in far.kept}
    far.next_ = [answers(202, None, Retry_After="7"), answers(200, {"state": "ready"})]
    with pytest.raises(Retriable) as waits:
        there.confirm(shipment)
    assert waits.value.after_s == 7
    far.next_ = [answers(200, {"state": "failed, says Zyxwvut"})]
    with pytest.raises(Rejected, match=r"^the destination says that it has refused what was sent$"):
        there.confirm(shipment)
    far.next_ = [answers(200, {"state": "ready"})]
    assert there.confirm(shipment) == 3
    before = len(far.received)
    assert there.confirm(shipment) == 3
    assert len(far.received) == before


def test_an_answer_without_success_in_its_body_is_refused(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    send = {**RAW, "rule": {"pointer": "/status", "equals": "ok"}}
    far.next_ = [answers(200, {"status": "error: Zyxwvut"})]
    with pytest.raises(Rejected, match=r"^its answer \(200\) does not hold what send.rule says$"):
        destination(far.url, send).send(make_shipment(tmp_path, study.server, study.id))


def test_an_instance_without_picture_is_neither_sent_nor_missed(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    there = destination(far.url, JSON)
    results = study.results(without=(study.instances[0],))
    shipment = make_shipment(tmp_path, study.server, study.id, results=results)
    there.send(shipment)
    assert len(far.received) == 2
    assert there.confirm(shipment) == 2
    assert shipment.remarks == ["1 of 3 instances cannot be drawn: they are not sent"]


def test_a_study_without_any_picture_is_refused(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    results = study.results(without=tuple(study.instances))
    with pytest.raises(Rejected, match="none of 3 instances can be drawn"):
        destination(far.url, JSON).send(make_shipment(tmp_path, study.server, study.id, results=results))


def test_each_frame_goes_in_a_request_of_its_own(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    send = {**JSON, "template": {"uid": "{SOPInstanceUID}", "frame": "{picture_number:d}", "i": "{picture_base64}"}}
    there = destination(far.url, send)
    far.next_ = [keeps, keeps, answers(503)]
    shipment = make_shipment(tmp_path, study.server, study.id, results=study.results(frames=2))
    with pytest.raises(Retriable):
        there.send(shipment)
    there.send(shipment)
    sent = [(kept.json()["uid"], kept.json()["frame"]) for kept in far.kept.values()]
    assert len(sent) == len(set(sent)) == 6
    assert there.confirm(shipment) == 3


def test_a_closed_window_ends_the_send_and_keeps_what_is_sent(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    there = destination(far.url, RAW)
    with pytest.raises(Postponed):
        there.send(make_shipment(tmp_path, study.server, study.id, pace=NoPace(until=1)))
    assert len(far.received) == 1
    there.send(make_shipment(tmp_path, study.server, study.id))
    assert (len(far.kept), far.doubles) == (3, 0)


def test_two_destinations_have_keys_of_their_own(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    for name in ("one", "two"):
        there = destination(far.url, RAW, name=name)
        there.send(make_shipment(tmp_path / name, study.server, study.id))
    assert (len(far.kept), far.doubles) == (6, 0)


def test_a_lost_journal_makes_the_same_requests(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    there = destination(far.url, RAW)
    for place in ("one", "two"):
        there.send(make_shipment(tmp_path / place, study.server, study.id))
    assert (len(far.kept), far.doubles) == (3, 3)


def test_a_kill_between_two_entries_of_the_plan_loses_and_doubles_nothing(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    """Every journal entry is where a kill can strike; the next send finishes, whatever was written."""

    class Killed(BaseException):
        pass

    class Mortal(FileJournal):
        left = 0

        def put(self, key: str, receipt: object) -> None:
            if self.left == 0:
                raise Killed
            self.left -= 1
            super().put(key, receipt)  # type: ignore[arg-type]

    send = {"content": "zip", "body": "raw", "level": "series"}
    for at in range(5):
        folder = tmp_path / str(at)
        shipment = make_shipment(folder, study.server, study.id)
        mortal = Mortal(folder / "journal.json")
        mortal.left = at
        object.__setattr__(shipment, "journal", mortal)
        far.kept.clear()
        with pytest.raises(Killed):
            destination(far.url, send).send(shipment)
        there = destination(far.url, send)
        shipment = make_shipment(folder, study.server, study.id)
        there.send(shipment)
        assert there.confirm(shipment) == 3
        flat = [n for kept in far.kept.values() for n in zipfile.ZipFile(io.BytesIO(kept.body)).namelist()]
        assert len(flat) == len(set(flat)) == 3


def test_the_time_of_a_step_ends_the_send_between_two_requests(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    with pytest.raises(Retriable, match="the rest follows"):
        destination(far.url, RAW).send(make_shipment(tmp_path, study.server, study.id, seconds=0))
    assert far.received == []


def test_a_conversion_that_says_whose_pictures_they_are_is_believed(
    study: HeldStudy, far: HttpServer, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Told(Converted):
        instances: tuple[str, ...] = ()

    uids = {i["ID"]: i for i in make_shipment(tmp_path, study.server, study.id).orthanc.instances(study.id)}
    told = []
    for number, (instance, found) in enumerate(uids.items(), 1):
        path = tmp_path / f"{number:05d}.png"
        path.write_bytes(found["MainDicomTags"]["SOPInstanceUID"].encode())
        told.append(Told(found["ParentSeries"], (path,), instances=(instance,)))
    results = FixedResults(picture_files={"png": told})
    destination(far.url, JSON).send(make_shipment(tmp_path, study.server, study.id, results=results))
    sent = [request.json() for request in far.received]
    assert len(sent) == 3
    assert all(base64.b64decode(each["image"]).decode() == each["uid"] for each in sent)


def test_a_picture_of_nobody_is_refused(study: HeldStudy, far: HttpServer, tmp_path: Path) -> None:
    results = study.results()
    files = results.pictures("png")[0].files
    files[0].rename(files[0].with_name("00001.png"))
    moved = tuple(path if path.exists() else path.with_name("00001.png") for path in files)
    broken = [type(results.pictures("png")[0])(results.pictures("png")[0].series, moved)]
    object.__setattr__(results, "picture_files", {"png": broken})
    with pytest.raises(Rejected, match="does not tell whose it is"):
        destination(far.url, JSON).send(make_shipment(tmp_path, study.server, study.id, results=results))
    assert json.dumps(far.received) == "[]"
