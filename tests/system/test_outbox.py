"""The outbox as a hospital notices it: what waits, why and until when; nothing lost, nothing sent twice."""

import io
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count, pairwise, repeat
from pathlib import Path
from typing import Any

import pydicom
import pytest

from http_servers import Behaviour, Handler, HttpServer, Received, answers, keeps
from servers import children, is_running, wait_for
from sites import Site
from studies import Person, ct_study

NOW = datetime.now(UTC)
OPENS_H = 6  # hours from now
WINDOW = f"{(NOW.hour + OPENS_H) % 24:02}:00-{(NOW.hour + OPENS_H + 1) % 24:02}:00"
BYTES_PER_S = 12000
HTTP = "{{name: {name}, kind: http, url: '{far}/{name}', send: {{content: dicom, body: raw}}{more}}}"
# Modality of the studies -> destinations of the project that takes them, and its priority.
PROJECTS = {
    "CT": ("share, far", 5),
    "MR": ("far", 5),
    "PT": ("paced", 5),
    "US": ("closed", 5),
    "XA": ("rationed", 5),
    "CR": ("share, wanted", 5),
    "MG": ("single", 1),
    "NM": ("single", 9),
    "DX": ("research", 5),
}
HTTP_DESTINATIONS = {
    "far": "",
    "paced": f", bytes_per_s: {BYTES_PER_S}, concurrency: 1",
    "closed": f", windows: ['{WINDOW}'], timezone: UTC",
    "rationed": ", studies_per_hour: 3600",
    "wanted": ", required: false",
    "single": ", concurrency: 1",
    "elsewhere": "",
}
PEER = "{{name: research, kind: orthanc-peer, url: '{url}', username: admin, password_file: {password_file}}}"
LIMITS = "{backoff_s: 0.4, backoff_most_s: 1, delivery_attempts: 4}"
ATTEMPTS = 4


class Far:
    """The other side of all destinations of kind http; each is a path."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.behaviours: dict[str, Behaviour] = {}
        self.times: dict[int, float] = {}  # by the identity of a request
        server.always = self._answer

    def _answer(self, handler: Handler, received: Received) -> None:
        self.times[id(received)] = time.monotonic()
        self.behaviours.get(received.path.strip("/"), keeps)(handler, received)

    def answers(self, name: str, number: int, *then: Behaviour) -> None:
        """Take so many more requests, and do this with the next; the last goes for all that follow."""
        rest = chain(repeat(keeps, number), then[:-1], repeat(then[-1]))
        self.behaviours[name] = lambda handler, received: next(rest)(handler, received)  # noqa: PLW0108  # a new one each time

    def of(self, name: str, output: str | None = None) -> list[Received]:
        """Answer the requests that carried an instance of a result, refused ones too."""
        found = [r for r in self.server.sent() if r.path.strip("/") == name]
        return [r for r in found if output in (None, study_of(r))]

    def held(self, name: str, output: str) -> set[str]:
        """Answer the SOPInstanceUIDs that were taken of a result."""
        taken = [r for r in list(self.server.kept.values()) if r.path.strip("/") == name and study_of(r) == output]
        return {read(r).SOPInstanceUID for r in taken}


def read(received: Received) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(received.body))


def study_of(received: Received) -> str:
    return str(read(received).StudyInstanceUID)


class Outbox:
    """A site with many destinations."""

    def __init__(self, site: Site, far: Far, share: Path) -> None:
        self.site, self.far, self.share = site, far, share
        self._people = count(1)

    def send(self, modality: str, number: int, person: Person | None = None, first: int = 1) -> str:
        """Store a study and have it started, stable or not."""
        person = person or self.person()
        source = self.site.send(as_modality(file, modality) for file in ct_study(person, number, first=first))
        self.post(f"studies/{source}/process", status=202)
        return source

    def person(self) -> Person:
        return Person(next(self._people))

    def uid(self, study: dict[str, Any]) -> str:
        """Answer the StudyInstanceUID of a result."""
        return str(self.site.clinical.get(f"/studies/{study['output']}").json()["MainDicomTags"]["StudyInstanceUID"])

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:  # noqa: ANN401  # JSON
        answer = self.site.clinical.post(f"/deid/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def destination(self, name: str) -> dict[str, Any]:
        items = self.site.clinical.get("/deid/destinations").json()["items"]
        return next(dict(item) for item in items if item["name"] == name)

    def delivery(self, source: str, name: str) -> dict[str, Any]:
        found = self.site.study(source).get("deliveries", [])
        return next((dict(d) for d in found if d["destination"] == name), {})

    def await_delivery(self, source: str, name: str, seconds: float = 30, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401
        """Wait until fields of a delivery hold these values; a text may stand anywhere in the field."""

        def matches() -> bool:
            found = self.delivery(source, name)
            return bool(found) and all(v == found[k] or str(v) in str(found[k] or "") for k, v in wanted.items())

        try:
            wait_for(matches, seconds)
        except AssertionError:
            raise AssertionError(f"not {wanted} but {self.delivery(source, name)}") from None
        return self.delivery(source, name)


def as_modality(file: bytes, modality: str) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(file))
    ds.Modality = modality
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def configuration(far: str, share: Path) -> str:
    """Return deid.yaml; the site fills in where its archive is."""
    projects = [
        f"  - {{name: of-{modality}, match: {{modality: [{modality}]}}, destinations: [{names}], priority: {priority}}}"
        for modality, (names, priority) in PROJECTS.items()
    ]
    http = [HTTP.format(name=name, far=far, more=more) for name, more in HTTP_DESTINATIONS.items()]
    destinations = [f"{{name: share, kind: folder, path: {share}, keep_free_bytes: 0}}", *http]
    ours = ["projects:", *projects, f"limits: {LIMITS}", "intake: {reconcile_s: 0.5}", "destinations:"]
    ours += [f"  - {destination}" for destination in destinations]
    return "\n".join(ours).replace("{", "{{").replace("}", "}}") + f"\n  - {PEER}\n"


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outbox]:
    folder = tmp_path_factory.mktemp("outbox")
    share = folder / "share"
    share.mkdir()
    with HttpServer() as server:
        deid = configuration(server.url, share)
        site = Site(folder, deid=deid)
        try:
            yield Outbox(site.start(), Far(server), share)
        finally:
            site.kill()


def received_at(outbox: Outbox, received: Received) -> float:
    return outbox.far.times[id(received)]


def files(outbox: Outbox, study: dict[str, Any]) -> list[Path]:
    """Answer what the share holds of a result."""
    return [path for path in outbox.share.rglob("*") if path.is_file() and outbox.uid(study) in str(path)]


def test_a_destination_that_is_down_delays_only_itself(outbox: Outbox) -> None:
    away = outbox.share.with_name("away")
    outbox.share.rename(away)
    source = outbox.send("CT", 3)
    outbox.await_delivery(source, "far", state="confirmed", confirmed=3)
    outbox.await_delivery(source, "share", state="pending", reason="is its share mounted?", attempt=2)
    wait_for(lambda: outbox.site.study(source)["next_attempt_at"], 5, "the next attempt is visible")
    assert outbox.site.study(source)["status"] == "exporting"
    assert outbox.destination("share")["deliveries"]["pending"] == 1
    away.rename(outbox.share)
    study = outbox.site.await_status(source, "done")
    assert study["destinations"] == {"far": "confirmed", "share": "confirmed"}
    assert study["next_attempt_at"] is None
    assert sorted(path.suffix for path in files(outbox, study)) == [".dcm", ".dcm", ".dcm", ".json"]
    assert len(outbox.far.of("far", outbox.uid(study))) == 3


def test_a_dead_letter_is_sent_again_and_what_has_arrived_is_not(outbox: Outbox) -> None:
    outbox.far.answers("far", 2, answers(503))
    source = outbox.send("MR", 5)
    study = outbox.site.await_status(source, "failed")
    assert "destination far: export: " in study["reason"]
    assert "503" in study["reason"]
    assert (outbox.delivery(source, "far")["state"], outbox.delivery(source, "far")["attempt"]) == ("failed", ATTEMPTS)
    output = outbox.uid(study)
    assert len(outbox.far.of("far", output)) == 2 + ATTEMPTS
    assert len(outbox.far.held("far", output)) == 2
    del outbox.far.behaviours["far"]
    assert outbox.post("destinations/far/resend", status=202) == {"started": 1, "refused": 0}
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("far", output)) == 5
    assert len(outbox.far.of("far", output)) == 2 + ATTEMPTS + 3


@pytest.mark.parametrize(("verb", "body"), [("retry", None), ("export", {"destination": "far"})])
def test_what_was_refused_in_the_middle_is_finished_on_request(
    outbox: Outbox, verb: str, body: dict[str, Any] | None
) -> None:
    outbox.far.answers("far", 2, answers(400))
    source = outbox.send("MR", 5)
    study = outbox.site.await_status(source, "failed")
    assert "400" in study["reason"]
    del outbox.far.behaviours["far"]
    outbox.post(f"studies/{source}/{verb}", body, 202)
    outbox.site.await_status(source, "done")
    output = outbox.uid(study)
    assert len(outbox.far.held("far", output)) == 5
    assert len(outbox.far.of("far", output)) == 2 + 1 + 3


def test_what_was_refused_is_sent_again_while_another_destination_is_down(outbox: Outbox) -> None:
    away = outbox.share.with_name("away")
    outbox.share.rename(away)
    outbox.far.answers("far", 1, answers(400))
    source = outbox.send("CT", 3)
    outbox.await_delivery(source, "far", state="failed")
    del outbox.far.behaviours["far"]
    assert outbox.post("destinations/far/resend", status=202) == {"started": 1, "refused": 0}
    outbox.await_delivery(source, "far", state="confirmed")
    away.rename(outbox.share)
    study = outbox.site.await_status(source, "done", "failed")  # it may have been away for too many tries
    if study["status"] == "failed":
        outbox.post("destinations/share/resend", status=202)
        study = outbox.site.await_status(source, "done")
    assert len(outbox.far.of("far", outbox.uid(study))) == 4
    assert len(outbox.far.held("far", outbox.uid(study))) == len(files(outbox, study)) - 1 == 3


def test_the_far_side_says_when_to_come_again(outbox: Outbox) -> None:
    outbox.far.answers("far", 0, answers(503, Retry_After="3"), keeps)
    source = outbox.send("MR", 2)
    found = outbox.await_delivery(source, "far", state="pending", attempt=1, reason="503")
    study = outbox.site.study(source)
    assert found["next_attempt_at"] == study["next_attempt_at"]
    assert 1.5 < seconds_until(found["next_attempt_at"]) < 6
    outbox.site.await_status(source, "done")
    first, second = (received_at(outbox, r) for r in outbox.far.of("far", outbox.uid(study))[:2])
    assert second - first > 3


def test_a_destination_that_is_not_required_holds_nothing_up(outbox: Outbox) -> None:
    outbox.far.behaviours["wanted"] = answers(400)
    source = outbox.send("CR", 2)
    study = outbox.site.await_status(source, "done")
    assert study["destinations"] == {"share": "confirmed", "wanted": "failed"}
    assert study["reason"] == "not delivered to wanted, which is not required"
    assert "400" in outbox.delivery(source, "wanted")["reason"]
    del outbox.far.behaviours["wanted"]
    assert outbox.post("destinations/wanted/resend", status=202) == {"started": 1, "refused": 0}
    outbox.await_delivery(source, "wanted", state="confirmed")
    assert outbox.site.await_status(source, "done")["reason"] is None


def seconds_until(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp() - time.time()


def test_a_closed_window_is_waited_for_and_said(outbox: Outbox) -> None:
    source = outbox.send("US", 2)
    found = outbox.await_delivery(source, "closed", reason="time window is closed", state="pending")
    opens = NOW.replace(minute=0, second=0, microsecond=0).timestamp() + OPENS_H * 3600
    assert abs(datetime.fromisoformat(found["next_attempt_at"]).timestamp() - opens) < 30
    assert found["attempt"] == 0
    assert outbox.site.study(source)["status"] == "exporting"
    assert abs(outbox.destination("closed")["opens_in_s"] - (opens - time.time())) < 30
    outbox.post(f"studies/{source}/retry", status=202)  # a person may ask, and the window stays closed
    time.sleep(2)
    assert outbox.delivery(source, "closed")["attempt"] == 0
    assert outbox.far.of("closed") == []


def test_studies_begin_no_faster_than_they_may(outbox: Outbox) -> None:
    sources = [outbox.send("XA", 2) for _ in range(3)]
    for source in sources:
        outbox.site.await_status(source, "done")
    begun: dict[str, float] = {}
    for each in outbox.far.of("rationed"):
        begun.setdefault(study_of(each), received_at(outbox, each))
    apart = [b - a for a, b in pairwise(sorted(begun.values()))]
    assert len(apart) == 2
    assert min(apart) > 0.95
    assert all(outbox.delivery(source, "rationed")["attempt"] == 1 for source in sources)


def test_bytes_go_out_as_fast_as_they_may_and_no_faster(outbox: Outbox) -> None:
    source = outbox.send("PT", 10)
    study = outbox.site.await_status(source, "done")
    sent = outbox.far.of("paced", outbox.uid(study))
    times = [received_at(outbox, each) for each in sent]
    rate = sum(len(each.body) for each in sent[:-1]) / (times[-1] - times[0])
    assert rate == pytest.approx(BYTES_PER_S, rel=0.3)


def test_a_pause_in_the_middle_keeps_what_was_sent(outbox: Outbox) -> None:
    source = outbox.send("PT", 16)
    output = await_sending(outbox, source, "paced", 2)
    assert outbox.post("destinations/paced/pause")["paused"] is True
    outbox.await_delivery(source, "paced", state="pending", reason="paused", seconds=10)
    held = outbox.far.held("paced", output)
    assert 2 <= len(held) < 16
    time.sleep(1)
    assert outbox.far.held("paced", output) == held
    assert outbox.post("destinations/paced/resume")["paused"] is False
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("paced", output)) == len(outbox.far.of("paced", output)) == 16
    assert outbox.delivery(source, "paced")["attempt"] == 1  # nothing had failed


def await_sending(outbox: Outbox, source: str, name: str, number: int) -> str:
    """Wait until so many instances have arrived; answer the StudyInstanceUID of the result."""
    outbox.site.await_status(source, "exporting")
    output = outbox.uid(outbox.site.study(source))
    wait_for(lambda: len(outbox.far.held(name, output)) >= number, 30, "some have arrived")
    return output


def slow(handler: Handler, received: Received) -> None:
    time.sleep(0.2)
    keeps(handler, received)


def test_one_study_after_the_other_and_urgent_ones_first(outbox: Outbox) -> None:
    outbox.post("destinations/single/pause")
    patient = [outbox.send("NM", 2) for _ in range(3)]
    urgent = [outbox.send("MG", 2)]
    for source in (*patient, *urgent):
        outbox.await_delivery(source, "single", reason="paused")
    outputs = {outbox.uid(outbox.site.study(source)): source for source in (*patient, *urgent)}
    outbox.far.behaviours["single"] = slow
    outbox.post("destinations/single/resume")
    for source in (*patient, *urgent):
        outbox.site.await_status(source, "done")
    order = [outputs[study_of(each)] for each in outbox.far.of("single")]
    studies = list(dict.fromkeys(order))
    assert order == [source for source in studies for _ in range(2)]  # two never at once
    assert urgent[0] in studies[:2]  # the first may have begun before the urgent one was there


def test_a_study_that_is_done_goes_to_any_destination_on_request(outbox: Outbox) -> None:
    source = outbox.send("MR", 3)
    study = outbox.site.await_status(source, "done")
    output = outbox.uid(study)
    outbox.post(f"studies/{source}/export", {"destination": "elsewhere"}, 202)
    outbox.await_delivery(source, "elsewhere", state="confirmed", confirmed=3)
    outbox.site.await_status(source, "done")
    outbox.post(f"studies/{source}/export", {"destination": "elsewhere"}, 202)
    outbox.site.await_status(source, "done")
    assert len(outbox.far.of("elsewhere", output)) == 3
    outbox.post(f"studies/{source}/export", {"destination": "elsewhere", "anew": True}, 202)
    wait_for(lambda: len(outbox.far.of("elsewhere", output)) == 6, 30, "sent once more")
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("elsewhere", output)) == 3
    assert len(outbox.far.of("far", output)) == 3
    outbox.far.server.doubles = 0


def test_a_destination_that_is_not_there_is_told_with_its_field(outbox: Outbox) -> None:
    source = outbox.send("MR", 1)
    outbox.site.await_status(source, "done")
    told = outbox.post(f"studies/{source}/export", {"destination": "elswhere"}, 422)
    assert told["field"] == "body.destination"
    assert "elsewhere" in told["detail"]
    assert outbox.site.study(source)["status"] == "done"


def test_late_instances_go_alone(outbox: Outbox) -> None:
    person = outbox.person()
    source = outbox.send("MR", 3, person)
    outbox.site.await_status(source, "done")
    outbox.send("MR", 2, person, first=4)
    study = outbox.site.await_status(source, "done", version=2)
    numbers = [read(each).InstanceNumber for each in outbox.far.of("far", outbox.uid(study))]
    assert sorted(numbers[:3]) == [1, 2, 3]
    assert sorted(numbers[3:]) == [4, 5]


def worker(outbox: Outbox) -> int:
    running = children(outbox.site.clinical.pid)
    return next(pid for pid in running if b"orthanc_deid.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_worker_killed_while_it_sends_leaves_one_whole_set(outbox: Outbox) -> None:
    source = outbox.send("PT", 10)
    output = await_sending(outbox, source, "paced", 3)
    os.kill(worker(outbox), signal.SIGKILL)
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("paced", output)) == 10
    assert len(outbox.far.of("paced", output)) <= 11  # that which was on its way may come twice, under the same key
    assert outbox.far.server.doubles <= 1
    outbox.far.server.doubles = 0


def test_orthanc_killed_while_it_sends_leaves_one_whole_set(outbox: Outbox) -> None:
    source = outbox.send("PT", 10)
    output = await_sending(outbox, source, "paced", 3)
    running = children(outbox.site.clinical.pid)
    outbox.site.clinical.kill()
    wait_for(lambda: not any(map(is_running, running)), 15, "all children ended")
    outbox.site.clinical.start()
    outbox.site.await_service()
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("paced", output)) == 10
    assert len(outbox.far.of("paced", output)) <= 11
    outbox.far.server.doubles = 0


def test_a_cancelled_study_stops_in_the_middle_and_goes_on_when_it_is_retried(outbox: Outbox) -> None:
    source = outbox.send("PT", 16)
    output = await_sending(outbox, source, "paced", 2)
    outbox.post(f"studies/{source}/cancel", status=202)
    time.sleep(2.5)  # the ledger is looked at every other second
    held = len(outbox.far.held("paced", output))
    time.sleep(1)
    assert len(outbox.far.held("paced", output)) == held < 16
    assert outbox.site.study(source)["status"] == "cancelled"
    outbox.post(f"studies/{source}/retry", status=202)
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("paced", output)) == len(outbox.far.of("paced", output)) == 16


def test_a_source_that_was_deleted_meanwhile_holds_nothing_up(outbox: Outbox) -> None:
    outbox.post("destinations/far/pause")
    source = outbox.send("MR", 2)
    outbox.await_delivery(source, "far", reason="paused")
    outbox.site.clinical.request("DELETE", f"/studies/{source}")
    outbox.post("destinations/far/resume")
    study = outbox.site.await_status(source, "done")
    assert len(outbox.far.held("far", outbox.uid(study))) == 2


def test_a_result_that_was_deleted_before_it_left_is_told_and_made_again(outbox: Outbox) -> None:
    outbox.post("destinations/far/pause")
    source = outbox.send("MR", 2)
    outbox.await_delivery(source, "far", reason="paused")
    study = outbox.site.study(source)
    output = outbox.uid(study)
    outbox.site.clinical.request("DELETE", f"/studies/{study['output']}")
    outbox.post("destinations/far/resume")
    study = outbox.site.await_status(source, "failed")
    assert "no longer in this Orthanc" in study["reason"]
    assert outbox.far.of("far", output) == []
    told = outbox.post(f"studies/{source}/export", {"destination": "far"}, 409)
    assert told["detail"] == "2 of 2 instances of the result are no longer in this Orthanc"
    outbox.post(f"studies/{source}/retry", status=202)  # its source is still there
    outbox.site.await_status(source, "done")
    assert len(outbox.far.held("far", output)) == 2


def test_the_peer_gets_each_instance_once_through_a_pause(outbox: Outbox) -> None:
    outbox.post("destinations/research/pause")
    source = outbox.send("DX", 3)
    outbox.await_delivery(source, "research", reason="paused")
    outbox.site.research.stop()
    outbox.post("destinations/research/resume")
    outbox.await_delivery(source, "research", reason="cannot be reached")
    outbox.site.research.start()
    study = outbox.site.await_status(source, "done")
    assert len(outbox.site.arrived(study["output"])) == 3
