import inspect
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database import marks, views
from orthanc_deid.database.awaited import NEVER, Awaited, Waiting
from orthanc_deid.database.gates import Gates
from orthanc_deid.database.intake_tables import awaited
from orthanc_deid.database.ledger import Study
from orthanc_deid.database.manifests import Manifest, Manifests
from orthanc_deid.database.origins import Origin
from orthanc_deid.database.tables import instance
from orthanc_deid.errors import NotFound, Rejected, Retriable
from orthanc_deid.intake.counting import Counting, is_needed
from orthanc_deid.intake.examine import Intake, examine, start_by_hand
from orthanc_deid.intake.standing import clock, span
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.pacs.base import Archive, Found, Instance
from orthanc_deid.settings import Configuration
from orthanc_deid.steps.subject import orthanc_id

NewIntake = Callable[..., Intake]
HOUR = 3600.0
COUNT = {"by": "count", "ask": "pacs-1"}
SOURCE = {"kind": "pacs", "name": "pacs-1", "host": "127.0.0.1", "port": 1, "ae": "PACS"}
TO_DONE = (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE)
STUDY_UID = f"1.2.{b'a'.hex()}"  # as the stand-in tells it of study `a`


def sop(instance: str) -> str:
    return f"1.2.3.{int(instance.removeprefix('i'))}"


@dataclass
class SendingArchive(FakeArchive):
    """The stand-in, with what only completeness asks: UIDs of instances and who has sent them."""

    sender: str = ""

    def instances(self, study: str) -> list[dict[str, Any]]:
        return [{"ID": i, "MainDicomTags": {"SOPInstanceUID": sop(i)}} for i in self._find(study).instances]

    def metadata(self, instance: str, name: str) -> str:
        if name != "RemoteAET":
            return super().metadata(instance, name)
        if not self.sender:
            raise NotFound("Orthanc does not know that resource (404)")
        return self.sender


@dataclass
class Pacs:
    """An archive that tells what the test wants."""

    counted: int | None = None
    instances_: list[str] | None = None
    error: Exception | None = None
    asked: int = 0
    before: Callable[[], object] = bool
    requested: list[tuple[str, list[str]]] = field(default_factory=list)

    def count(self, study_uid: str) -> int | None:
        assert study_uid == STUDY_UID
        self.asked += 1
        self.before()
        if self.error:
            raise self.error
        return self.counted

    def instances(self, study_uid: str, series_uid: str = "") -> list[Instance] | None:  # noqa: ARG002  # the protocol's
        if self.instances_ is None:
            return None
        return [Instance(study_uid, "1.2.9", sop(i)) for i in self.instances_]

    def retrieve(self, found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:  # noqa: ARG002  # the protocol's
        self.requested.append((found.study_uid, [i.sop_uid for i in instances]))


def names(count: int, first: int = 1) -> list[str]:
    return [f"i{n}" for n in range(first, first + count)]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Answer one engine only: what differs is in database/test_awaited.py."""
    return f"sqlite:///{tmp_path / 'deid.sqlite'}"


@pytest.fixture
def archive() -> SendingArchive:
    return SendingArchive()


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@dataclass
class Ward:
    """An intake whose rule is one of completeness, and a PACS that counts."""

    intake: Intake
    archive: SendingArchive
    pacs: Pacs
    hints: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        connect = cast("Callable[..., Archive]", lambda _source, _orthanc, _going: self.pacs)
        self.counting = Counting(self.intake, connect, lambda: self.hints.append(None))
        self.waiting = Waiting(self.intake.ledger.engine)

    def hold(self, instances: list[str], last_update: str = "20200101T000000") -> None:
        self.archive.held["a"] = FakeStudy(instances, last_update=last_update)

    def examine(self) -> Study:
        examine(self.intake, "a", stable=True)
        return self.study

    def ask(self) -> Study:
        """Have the thread look at what is due, and examine what it has examined again."""
        for thread in self.counting.look():
            thread.join(20)
        for study in self.intake.ledger.to_recheck():
            examine(self.intake, study.source, stable=True)
        return self.study

    def late(self) -> None:
        """Let the deadline pass, with everything that is due then."""
        self.set(deadline_at=time.time() - 1, next_look_at=time.time() - 1)

    def set(self, **values: float | None) -> None:
        with self.intake.ledger.engine.begin() as connection:
            connection.execute(update(awaited).values(**values))

    def finish(self) -> None:
        for state in TO_DONE:
            self.intake.ledger.move(self.study.id, state)

    @property
    def study(self) -> Study:
        found = self.intake.ledger.find("a")
        assert found
        return found

    @property
    def row(self) -> Awaited:
        found = self.waiting.find(self.study.id)
        assert found
        return found

    @property
    def told(self) -> dict[str, Any]:
        return views.one(self.intake.ledger.engine, "a")


@pytest.fixture
def ward(new_intake: NewIntake, archive: SendingArchive, pacs: Pacs) -> Callable[..., Ward]:
    """Answer a function that makes a ward by its rule."""

    def make(rule: dict[str, Any], **more: Any) -> Ward:  # noqa: ANN401  # keys of deid.yaml
        more = {"intake": {"completeness": rule}, "sources": (SOURCE,)} | more
        return Ward(new_intake(**more), archive, pacs)

    return make


def test_213_of_240_wait_with_the_time_and_begin_when_the_rest_is_there(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 240
    site.hold(names(213))
    before = site.examine()
    assert (before.status, pacs.asked) == (states.WAITING, 0)
    until = clock(site.row.deadline_at)
    assert before.reason == f"instances are not counted yet, waiting until {until}"
    study = site.ask()
    assert (study.status, study.reason) == (states.WAITING, f"213 of 240 instances, waiting until {until}")
    told = site.told["awaited"]
    assert told["until"] == views.iso(site.row.deadline_at)
    assert {key: told[key] for key in ("expected", "present", "missing", "source", "requests", "reason")} == {
        "expected": 240, "present": 213, "missing": 27, "source": "pacs-1", "requests": 0, "reason": None,
    }  # fmt: skip
    site.archive.arrive("a", *names(27, 214), last_update="20200101T000100")
    assert site.examine().status == states.WAITING  # until it was compared
    study = site.ask()
    assert (study.status, len(site.intake.ledger.instances(study.id))) == (states.QUEUED, 240)
    assert site.waiting.find(study.id) is None
    assert site.told["awaited"] is None


def test_a_study_that_waits_is_counted_again_now_and_then_without_new_events(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    site, pacs.counted = ward(COUNT), 3
    site.hold(names(2))
    site.examine()
    site.ask()
    assert time.time() < site.row.next_look_at <= time.time() + 60
    events = len(site.told["events"])
    site.set(next_look_at=time.time() - 1, asked_at=time.time() - 61)
    site.ask()
    assert (pacs.asked, len(site.told["events"])) == (2, events)
    assert site.intake.ledger.to_recheck() == []
    pacs.counted = 2  # the archive dropped one: not believed before the deadline
    site.set(next_look_at=time.time() - 1, asked_at=time.time() - 61)
    study = site.ask()
    assert (study.status, site.row.reason) == (states.WAITING, "the PACS counts fewer than before")


def test_what_is_told_of_fewer_instances_says_nothing_of_more(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 3
    site.hold(names(2))
    site.examine()
    site.ask()
    site.archive.arrive("a", "i3", last_update="20200101T000100")
    pacs.counted = 4  # so has the archive
    site.examine()
    study = site.ask()
    assert (study.status, study.reason) == (
        states.WAITING, f"3 of 4 instances, waiting until {clock(site.row.deadline_at)}",
    )  # fmt: skip


def test_an_archive_that_is_away_is_told_and_asked_again(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.error = ward(COUNT), Retriable("the association was refused")
    site.hold(names(2))
    site.examine()
    study = site.ask()
    until = clock(site.row.deadline_at)
    assert study.reason == f"instances are not counted yet (the PACS does not answer), waiting until {until}"
    assert site.row.next_look_at > time.time() + 50
    pacs.error, pacs.counted = None, 2
    site.set(next_look_at=time.time() - 1)
    assert site.ask().status == states.QUEUED


def test_an_archive_that_refuses_is_told(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.error = ward(COUNT), Rejected("C-FIND was refused (0xA900)")
    site.hold(names(2))
    site.examine()
    assert "(the PACS refuses the question), waiting until" in str(site.ask().reason)


def test_a_study_that_the_archive_does_not_know_yet_is_not_complete(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted, pacs.instances_ = ward(COUNT), 0, []
    site.hold(names(2))
    site.examine()
    study = site.ask()
    assert study.status == states.WAITING
    assert "(the PACS does not tell how many there are), waiting until" in str(study.reason)
    site.late()
    study = site.ask()
    assert str(study.reason) == (
        "instances are not counted (the PACS does not tell how many there are): held, process starts it as it is"
    )


def test_a_paused_source_is_not_asked(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 2
    gates = Gates(site.intake.ledger.engine)
    gates.set_paused("pacs-1", paused=True, actor="ann")
    site.hold(names(2))
    site.examine()
    study = site.ask()
    assert (pacs.asked, study.status) == (0, states.WAITING)
    assert "(waits: paused by a person)" in str(study.reason)
    assert site.row.next_look_at == pytest.approx(time.time() + 60, abs=5)  # whoever lets it go on need not tell
    gates.set_paused("pacs-1", paused=False, actor="ann")
    site.set(next_look_at=time.time() - 1)
    assert site.ask().status == states.QUEUED


def test_at_the_deadline_it_is_processed_with_a_warning(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT | {"then": "process"}), 240
    site.hold(names(213))
    site.examine()
    site.ask()
    site.late()
    study = site.ask()
    assert study.status == states.QUEUED
    assert site.told["events"][-1]["reason"] == "213 of 240 instances: processed incomplete after 60 min"


def test_at_the_deadline_an_archive_that_is_away_does_not_hold_it_up_where_it_is_to_be_processed(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    site, pacs.error = ward(COUNT | {"then": "process", "deadline_s": 90}), Retriable("away")
    site.hold(names(2))
    site.examine()
    site.late()
    assert site.ask().status == states.QUEUED
    assert site.told["events"][-1]["reason"] == (
        "instances are not counted yet (the PACS does not answer): processed uncounted after 1.5 min"
    )


def test_at_the_deadline_it_is_held_until_the_rest_comes(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 240
    site.hold(names(213))
    site.examine()
    site.ask()
    site.late()
    study = site.ask()
    assert (study.status, study.reason) == (
        states.WAITING, "213 of 240 instances: held, process starts it as it is",
    )  # fmt: skip
    assert (site.row.next_look_at, site.told["awaited"]["until"]) == (NEVER, None)
    assert site.counting.look() == []
    site.archive.arrive("a", *names(27, 214), last_update="20200101T000100")
    site.examine()
    assert site.ask().status == states.QUEUED


def test_a_person_has_it_processed_as_it_is(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 240
    site.hold(names(213))
    site.examine()
    site.ask()
    start_by_hand(site.intake, "a", "ann")
    assert site.study.status == states.QUEUED
    assert site.waiting.find(site.study.id) is None
    assert site.counting.look() == []


def test_what_a_person_calls_processed_is_waited_for_no_longer(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT | {"then": "request"}), 240
    site.hold(names(213))
    site.examine()
    site.ask()
    marks.mark(site.intake.ledger.engine, {"a": None}, "ann")
    site.late()
    assert site.counting.look() == []
    assert pacs.requested == []


def test_what_is_missing_is_requested_a_few_times_each_with_a_new_deadline_and_then_held(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    site = ward(COUNT | {"then": "request", "requests_most": 2})
    pacs.counted, pacs.instances_ = 4, names(4)
    site.hold(names(2))
    site.examine()
    site.ask()
    assert pacs.requested == []
    for request in (1, 2):
        site.late()
        study = site.ask()
        assert pacs.requested == [(STUDY_UID, [sop("i3"), sop("i4")])] * request
        assert site.row.deadline_at > time.time() + HOUR - 60
        until = clock(site.row.deadline_at)
        assert study.reason == f"2 of 4 instances, requested {request} of 2 times, waiting until {until}"
    site.late()
    study = site.ask()
    assert study.reason == "2 of 4 instances after 2 requests: held, process starts it as it is"
    assert len(pacs.requested) == 2
    site.archive.arrive("a", "i3", "i4", last_update="20200101T000100")
    site.examine()
    assert site.ask().status == states.QUEUED


def test_without_uids_the_whole_study_is_requested(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT | {"then": "request"}), 4
    site.hold(names(2))
    site.examine()
    site.late()
    site.ask()
    assert pacs.requested == [(STUDY_UID, [])]


def test_an_examination_between_deadline_and_request_does_not_stop_the_request(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    site, pacs.counted = ward(COUNT | {"then": "request"}), 4
    site.hold(names(2))
    site.examine()
    site.ask()
    site.late()
    assert site.examine().reason == "2 of 4 instances: what is missing is to be requested"
    site.ask()
    assert len(pacs.requested) == 1


def test_more_than_expected_is_complete_with_a_remark(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 240
    site.hold(names(241))
    site.examine()
    assert site.ask().status == states.QUEUED
    assert site.told["events"][-1]["reason"] == "241 of 240 instances: more than were counted"


def test_as_many_instances_of_other_uids_are_not_complete(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site = ward(COUNT)
    pacs.counted, pacs.instances_ = 4, names(4, 2)
    site.hold(names(4))
    site.examine()
    study = site.ask()
    assert study.status == states.WAITING
    assert str(study.reason).startswith("3 of 4 instances (and 1 others), waiting until ")
    assert (site.told["awaited"]["missing"], site.told["awaited"]["present"]) == (1, 4)


def test_a_list_of_instances_with_duplicates_counts_each_once(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site = ward(COUNT)
    pacs.counted, pacs.instances_ = 2, [*names(2), *names(2)]
    site.hold(names(2))
    site.examine()
    assert site.ask().status == states.QUEUED


def test_late_instances_wait_by_the_same_rule_and_what_retention_deleted_counts(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    site = ward(COUNT)
    ids = {i: orthanc_id("", STUDY_UID, "1.2.9", sop(i)) for i in names(4)}
    pacs.counted, pacs.instances_ = 3, names(3)
    site.hold(names(3))
    site.archive.held["a"].instances[:2] = ["i1", "i2"]
    site.examine()
    site.ask()
    assert site.study.status == states.QUEUED
    study = site.study
    site.finish()
    done = [(i.id, states.INSTANCE_DEIDENTIFIED, f"o{i.source}", None) for i in site.intake.ledger.instances(study.id)]
    site.intake.ledger.mark_instances(study.id, study.run, done)
    with site.intake.ledger.engine.begin() as connection:  # known by the ids that a real Orthanc gives
        for name, orthanc in ids.items():
            connection.execute(update(instance).where(instance.c.source == name).values(source=orthanc))
    pacs.counted, pacs.instances_ = 4, names(4)
    site.hold(["i4"], last_update="20200102T000000")  # the first three are gone
    assert site.examine().status == states.WAITING
    study = site.ask()
    assert (study.status, study.version) == (states.QUEUED, 2)


def test_the_deadline_and_what_was_told_survive_a_restart(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 4
    site.hold(names(2))
    site.examine()
    site.ask()
    before = site.row
    again = Ward(site.intake, site.archive, pacs)
    again.counting.start()
    try:
        assert [study.source for study in site.intake.ledger.to_recheck()] == ["a"]
        again.examine()
    finally:
        again.counting.stop()
    assert replace(again.row, next_look_at=0) == replace(before, next_look_at=0)


def test_an_answer_that_no_examination_has_seen_is_not_lost(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 2
    site.hold(names(2))
    site.examine()
    for thread in site.counting.look():
        thread.join(20)
    site.intake.ledger.mark_recheck(site.study.id, needed=False)  # by an examination that began before the answer
    assert site.row.next_look_at < time.time() + 10
    site.set(next_look_at=time.time() - 1)
    assert (site.ask().status, pacs.asked) == (states.QUEUED, 1)


def test_two_services_ask_once(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 4
    site.hold(names(2))
    site.examine()
    other = Ward(site.intake, site.archive, pacs)
    threads = [*site.counting.look(), *other.counting.look()]
    for thread in threads:
        thread.join(20)
    assert (len(threads), pacs.asked) == (1, 1)


def test_a_source_that_hangs_holds_up_no_other_and_is_not_asked_without_end(
    ward: Callable[..., Ward], pacs: Pacs
) -> None:
    goes_on = threading.Event()
    site, pacs.before = ward(COUNT, sources=(SOURCE | {"concurrency": 1},)), lambda: goes_on.wait(20)
    site.hold(names(2))
    site.examine()
    hanging = site.counting.look()
    site.set(next_look_at=time.time() - 1)  # its claim has ended
    assert site.counting.look() == []
    site.intake.ledger.add("b", "default")
    site.waiting.begin(site.study.id + 1, time.time() - 1, "", 1)
    assert len(site.counting.look()) == 1
    goes_on.set()
    hanging[0].join(20)
    site.set(next_look_at=time.time() - 1)
    assert len(site.counting.look()) == 1


def test_a_study_that_was_deleted_is_waited_for_no_longer(ward: Callable[..., Ward], pacs: Pacs) -> None:
    site, pacs.counted = ward(COUNT), 4
    site.hold(names(2))
    number = site.examine().id
    del site.archive.held["a"]
    for thread in site.counting.look():
        thread.join(20)
    assert site.waiting.find(number) is None


def test_nothing_is_told_of_whom(ward: Callable[..., Ward], pacs: Pacs, caplog: pytest.LogCaptureFixture) -> None:
    site, pacs.error = ward(COUNT), ValueError(f"no answer of {STUDY_UID}")
    site.hold(names(2))
    site.examine()
    with caplog.at_level("INFO", logger="orthanc_deid"):
        site.ask()
    assert [record for record in caplog.records if STUDY_UID in f"{record.getMessage()}{vars(record)}"] == []
    assert "study not counted" in caplog.text
    assert STUDY_UID not in str(site.told)


# Quiet times and whose rule it is.


def ago(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - seconds))


def test_a_quiet_time_longer_than_stable_age(ward: Callable[..., Ward]) -> None:
    site = ward({"quiet_s": 300})
    site.hold(names(2), last_update=ago(30))
    study = site.examine()
    assert study.status == states.WAITING
    assert str(study.reason) == f"an instance came less than 5 min ago, waiting until {clock(time.time() + 270)}"
    assert site.row.next_look_at == pytest.approx(time.time() + 270, abs=3)
    site.archive.held["a"].last_update = ago(301)
    site.set(next_look_at=time.time() - 1)
    assert site.ask().status == states.QUEUED


def test_the_rule_of_the_sender_wins_over_that_of_the_project_and_that_over_intake_s(
    ward: Callable[..., Ward],
) -> None:
    site = ward(
        {"quiet_s": 100},
        projects=({"name": "default", "completeness": {"quiet_s": 200}},),
        intake={
            "completeness": {"quiet_s": 100},
            "senders": ({"ae": "SLOW", "completeness": {"quiet_s": 300}}, {"ae": "PLAIN"}),
        },
    )
    for sender, expected in (("SLOW", 300), ("PLAIN", 200), ("", 200)):
        site.archive.sender = sender
        site.hold(names(1), last_update=ago(0))
        assert span(expected) in str(site.examine().reason)


def test_what_a_batch_has_fetched_keeps_the_rule_of_its_project(ward: Callable[..., Ward]) -> None:
    senders = ({"ae": "PACS", "completeness": {"quiet_s": 300}},)
    site = ward({}, intake={"senders": senders})
    site.archive.sender = "PACS"
    site.hold(names(1), last_update=ago(0))
    site.intake.origins.note(STUDY_UID, Origin(source="pacs-1"))
    assert site.examine().status == states.QUEUED


def test_without_any_rule_nothing_is_asked_and_no_row_is_written(ward: Callable[..., Ward]) -> None:
    site = ward({})
    site.hold(names(1))
    site.examine()
    assert site.study.status == states.QUEUED
    assert not is_needed(site.intake.configuration)


# Manifests.


def announce(site: Ward, instances: int, *sop_uids: str) -> list[bool]:
    manifests = Manifests(site.intake.ledger.engine, site.intake.origins.seal)
    return manifests.note([Manifest(STUDY_UID, instances, sop_uids)], "ann")


def test_a_manifest_announces_before_or_after_the_study_arrives(ward: Callable[..., Ward]) -> None:
    site = ward({"by": "manifest"})
    site.hold(names(2))
    study = site.examine()
    until = clock(site.row.deadline_at)
    assert study.reason == f"its sender has not announced its instances, waiting until {until}"
    assert announce(site, 3) == [False]
    study = site.examine()
    assert study.reason == f"2 of 3 instances, waiting until {until}"
    assert announce(site, 2) == [True]
    assert site.examine().status == states.QUEUED


def test_a_manifest_of_uids_is_compared_by_them(ward: Callable[..., Ward]) -> None:
    site = ward({"by": "manifest"})
    announce(site, 2, sop("i1"), sop("i3"))
    site.hold(names(2))
    assert "1 of 2 instances (and 1 others), waiting until" in str(site.examine().reason)
    site.archive.arrive("a", "i3", last_update="20200101T000100")
    assert site.examine().status == states.QUEUED
    assert site.told["events"][-1]["reason"] == "3 of 2 instances: more than were counted"


def test_the_deadline_of_a_manifest_wakes_the_study(ward: Callable[..., Ward]) -> None:
    site = ward({"by": "manifest"})
    site.hold(names(2))
    site.examine()
    assert site.counting.look() == []
    site.late()
    assert site.ask().reason == "its sender has not announced its instances: held, process starts it as it is"
    assert site.row.next_look_at == NEVER
    assert site.hints
    announce(site, 2)
    assert site.waiting.wake(site.study.id, time.time())
    assert site.ask().status == states.QUEUED


def test_a_manifest_leaves_no_uid_in_the_database(ward: Callable[..., Ward]) -> None:
    site = ward({"by": "manifest"})
    announce(site, 2, sop("i1"), sop("i3"))
    with site.intake.ledger.engine.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM manifest").all())
    assert "ann" in stored
    assert [uid for uid in (STUDY_UID, sop("i1"), sop("i3")) if uid in stored] == []


# Settings and words.


def test_counting_and_manifests_are_refused_with_deidentification_on_arrival() -> None:
    for rule in (COUNT, {"by": "manifest"}):
        with pytest.raises(ValidationError, match=r"cannot be used with intake\.on_arrival"):
            Configuration.model_validate({"sources": (SOURCE,), "intake": {"on_arrival": True, "completeness": rule}})
    Configuration.model_validate({"intake": {"on_arrival": True, "completeness": {"quiet_s": 60}}})


def test_a_time_is_told_with_its_date_where_it_is_not_today() -> None:
    assert len(clock(time.time())) == len("14:20")
    assert len(clock(time.time() + 2 * 86400)) == len("2026-11-23 14:20")
    assert [span(s) for s in (3600, 90, 20)] == ["60 min", "1.5 min", "20 s"]


def test_the_stand_ins_have_the_signatures_of_the_real_ones() -> None:
    for name in ("count", "instances", "retrieve"):
        assert inspect.signature(getattr(Pacs, name)) == inspect.signature(getattr(Archive, name)), name
    for name in ("instances", "metadata"):
        assert inspect.signature(getattr(SendingArchive, name)) == inspect.signature(getattr(Orthanc, name)), name
