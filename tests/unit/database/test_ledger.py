from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database, views, workers
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger, Study
from orthanc_deid.errors import Conflict, NotFound, Stale


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    engine = open_database(database_url)
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()


def test_a_study_added_by_two_at_once_is_one_row(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ledger.find("a") or ledger.add("a", "default"), range(1)))
        found += list(pool.map(lambda _: ledger.add("a", "default"), range(8)))
    assert len({study.id for study in found}) == 1


def test_every_change_of_state_leaves_an_event_with_its_reason_and_actor(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", [], actor="ann")
    ledger.move(study.id, states.QUARANTINED, run=1, reason="because")
    events = views.one(ledger.engine, "a")["events"]
    assert [(e["status"], e["reason"], e["actor"]) for e in events] == [
        ("received", None, "system"),
        ("queued", None, "ann"),
        ("quarantined", "because", "system"),
    ]


def test_a_move_that_the_table_does_not_have_is_refused(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    with pytest.raises(Conflict, match="received"):
        ledger.move(study.id, states.DONE)
    assert ledger.get(study.id).status == states.RECEIVED


def test_a_run_that_was_cancelled_may_write_nothing_more(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", []).run
    with ledger.engine.begin() as connection:
        ledger.guard_in(connection, study.id, run)
    ledger.cancel(study.id, "ada")
    for asked in (run, run + 1):
        with ledger.engine.begin() as connection, pytest.raises(Stale):
            ledger.guard_in(connection, study.id, asked)


def test_work_of_a_superseded_run_is_stale(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", [])
    ledger.cancel(study.id, "ann")
    with pytest.raises(Stale):
        ledger.move(study.id, states.DEIDENTIFYING, run=1)
    with pytest.raises(Stale):
        ledger.mark_instances(study.id, 1, [])
    assert ledger.get(study.id).status == states.CANCELLED


def test_a_late_instance_makes_the_next_version_and_opens_the_delivery_again(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    assert ledger.compare(study.id, ["i1", "i2"], "t1") == 2
    run = ledger.start(study.id, "default", ["research"]).run
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, run, "research", states.CONFIRMED, attempt=1, confirmed=2)
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        ledger.move(study.id, state, run=run)
    assert ledger.compare(study.id, ["i1", "i2"], "t1") == 0
    assert ledger.compare(study.id, ["i1", "i2", "i3"], "t2") == 1
    assert [s.status for s in ledger.to_recheck()] == [states.WAITING]
    started = ledger.start(study.id, "default", ["research"])
    assert (started.version, started.run) == (2, 2)
    delivery = deliveries.get(study.id, "research")
    assert ledger.to_recheck() == []
    assert (delivery.state, delivery.version, delivery.confirmed_version) == (states.PENDING, 2, 1)
    assert [i.source for i in ledger.instances(study.id, version=2)] == ["i3"]


def test_a_new_run_makes_again_what_was_not_verified_and_nothing_else(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", []).run
    (first,) = ledger.instances(study.id)
    ledger.mark_instances(study.id, run, [(first.id, states.INSTANCE_DEIDENTIFIED, "o1", None)])
    ledger.set_verified(study.id, run, 1)
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        ledger.move(study.id, state, run=run)
    ledger.compare(study.id, ["i1", "i2"], "t2")
    run = ledger.start(study.id, "default", []).run
    second = ledger.instances(study.id)[1]
    ledger.mark_instances(study.id, run, [(second.id, states.INSTANCE_DEIDENTIFIED, "o2", None)])
    ledger.move(study.id, states.QUARANTINED, run=run)
    ledger.start(study.id, "default", [])
    assert [(i.state, i.output) for i in ledger.instances(study.id)] == [
        (states.INSTANCE_DEIDENTIFIED, "o1"),
        (states.INSTANCE_RECEIVED, None),
    ]


def test_a_refused_instance_of_a_verified_study_is_tried_again_as_part_of_a_version_to_be_verified(
    ledger: Ledger,
) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1", "i2"], "t1")
    run = ledger.start(study.id, "default", ["research"]).run
    one, two = ledger.instances(study.id)
    made = (one.id, states.INSTANCE_DEIDENTIFIED, "o1", None)
    ledger.mark_instances(study.id, run, [made, (two.id, states.INSTANCE_QUARANTINED, None, "broken")])
    ledger.set_verified(study.id, run, 1)
    ledger.move(study.id, states.FAILED, run=run)
    started = ledger.start(study.id, "default", ["research"])
    assert (started.version, started.verified_version) == (2, 1)
    assert [(i.state, i.version) for i in ledger.instances(study.id)] == [
        (states.INSTANCE_DEIDENTIFIED, 1),
        (states.INSTANCE_RECEIVED, 2),
    ]
    assert Deliveries(ledger.engine).get(study.id, "research").version == 2


def test_a_superseded_instance_belongs_to_the_version_that_found_it_out(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", []).run
    (first,) = ledger.instances(study.id)
    ledger.mark_instances(study.id, run, [(first.id, states.INSTANCE_DEIDENTIFIED, "o1", None)])
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        ledger.move(study.id, state, run=run)
    ledger.compare(study.id, ["i1", "i2"], "t2")
    run = ledger.start(study.id, "default", []).run
    ledger.supersede(study.id, run, [first])
    assert [(i.source, i.state, i.version) for i in ledger.instances(study.id)] == [
        ("i1", states.INSTANCE_RECEIVED, 2),
        ("i2", states.INSTANCE_RECEIVED, 2),
    ]


def test_destinations_are_told_that_what_they_have_is_superseded_until_it_is_gone(ledger: Ledger) -> None:
    study = ledger.add("source", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", ["research", "backup"]).run
    deliveries = Deliveries(ledger.engine)
    receipts = deliveries.receipts(study.id, "research")
    receipts.put("i1", 5, "", "")
    for _ in range(2):
        ledger.supersede(study.id, run, ledger.instances(study.id))
        assert receipts.get("superseded") == (1, "", "")
        assert receipts.count() == 2
    assert deliveries.receipts(study.id, "backup").get("superseded") == (1, "", "")


def test_a_study_at_work_cannot_be_started_twice(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.start(study.id, "default", [])
    with pytest.raises(Conflict, match="at work"):
        ledger.start(study.id, "default", [])


def test_an_output_is_recognized_before_anything_is_stored_under_it(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", []).run
    ledger.set_output(study.id, run, "b")
    assert ledger.is_output("b")
    assert not ledger.is_output("a")
    assert ledger.last_updates(["a", "b", "c"]) == {"a": "t1", "b": ""}
    assert views.one(ledger.engine, "a")["output"] is None  # nothing is stored yet


def test_a_restart_forgets_why_instances_were_quarantined(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    run = ledger.start(study.id, "default", []).run
    number = ledger.instances(study.id)[0].id
    ledger.mark_instances(study.id, run, [(number, states.INSTANCE_QUARANTINED, None, "why")])
    assert ledger.instances(study.id)[0].reason == "why"
    ledger.move(study.id, states.QUARANTINED, run=run, reason="1 of 1")
    ledger.start(study.id, "default", [])
    assert ledger.instances(study.id)[0].state == states.INSTANCE_RECEIVED


def test_pages_of_studies_join_without_gap_or_repeat(ledger: Ledger) -> None:
    for number in range(7):
        ledger.add(f"s{number}", "default" if number % 2 else "other")
    seen: list[str] = []
    after = None
    while True:
        page, after = views.studies(ledger.engine, limit=3, after=after)
        seen += [item["source"] for item in page]
        if after is None:
            break
    assert seen == [f"s{n}" for n in reversed(range(7))]
    assert len(views.studies(ledger.engine, project="other")[0]) == 4
    assert views.studies(ledger.engine, status="done,failed")[0] == []


def test_an_unknown_study_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        views.one(ledger.engine, "nowhere")
    with pytest.raises(NotFound):
        ledger.get(99)


def test_cursor_and_heartbeats_are_kept(ledger: Ledger) -> None:
    assert workers.read_cursor(ledger.engine, "changes") == 0
    workers.save_cursor(ledger.engine, "changes", 5)
    workers.save_cursor(ledger.engine, "changes", 9)
    assert workers.read_cursor(ledger.engine, "changes") == 9
    workers.beat(ledger.engine, "host-0")
    workers.beat(ledger.engine, "host-0")
    assert 0 <= workers.ages(ledger.engine)["host-0"] < 5


def test_an_instance_that_comes_while_a_run_is_at_work_waits_for_the_next(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", [])
    assert ledger.compare(study.id, ["i1", "i2"], "t2") == 0
    ledger.forget_vanished(study.id, [])
    at_work = ledger.get(study.id)
    assert (at_work.version, at_work.recheck, at_work.last_update) == (1, 1, "t1")
    assert [i.source for i in ledger.instances(study.id)] == ["i1"]
    for state in (states.DEIDENTIFYING, states.VERIFYING, states.EXPORTING, states.DONE):
        ledger.move(study.id, state, run=1)
    assert [s.id for s in ledger.to_recheck()] == [study.id]
    assert ledger.compare(study.id, ["i1", "i2"], "t2") == 1


def test_a_destination_that_the_project_no_longer_names_is_given_up_at_the_next_start(ledger: Ledger) -> None:
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", ["kept", "left", "never"])
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, 1, "left", states.CONFIRMED, confirmed=1)
    ledger.cancel(study.id, "ann")
    ledger.compare(study.id, ["i1", "i2"], "t2")
    ledger.start(study.id, "default", ["kept", "left", "never"])
    ledger.cancel(study.id, "ann")
    ledger.start(study.id, "default", ["kept"])
    found = {d.destination: (d.state, d.version, d.confirmed_version) for d in deliveries.of(study.id)}
    assert found == {"kept": (states.PENDING, 2, 0), "left": (states.CONFIRMED, 1, 1)}
    told = [e["destination"] for e in views.one(ledger.engine, "a")["events"] if "no longer" in (e["reason"] or "")]
    assert sorted(told) == ["left", "never"]


def verified(ledger: Ledger, *destinations: str) -> Study:
    """Answer a study whose only version is clean and being exported."""
    study = ledger.add("a", "default")
    ledger.compare(study.id, ["i1"], "t1")
    ledger.start(study.id, "default", destinations)
    ledger.move(study.id, states.DEIDENTIFYING, run=1)
    ledger.set_output(study.id, 1, "o")
    ledger.mark_instances(study.id, 1, [(i.id, "deidentified", "o1", None) for i in ledger.instances(study.id)])
    ledger.move(study.id, states.VERIFYING, run=1)
    ledger.set_verified(study.id, 1, 1)
    ledger.move(study.id, states.EXPORTING, run=1)
    return ledger.get(study.id)


@pytest.mark.parametrize("asked", [(), ("left",)])
def test_every_failed_delivery_of_a_new_run_is_under_way_from_its_begin(ledger: Ledger, asked: tuple[str, ...]) -> None:
    study = verified(ledger, "left", "right", "there")
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, 1, "there", states.CONFIRMED, confirmed=1)
    for name in ("left", "right"):
        deliveries.mark(study.id, 1, name, states.UNDELIVERED, attempt=9)
    ledger.move(study.id, states.FAILED, run=1)
    ledger.deliver(study.id, asked, anew=False, reason="again", actor="ann")
    found = {d.destination: (d.state, d.attempt) for d in deliveries.of(study.id)}
    assert (found["left"], found["right"]) == ((states.PENDING, 0), (states.PENDING, 0))
    assert found["there"][0] == states.CONFIRMED


def test_what_arrived_deidentified_is_delivered_only_as_far_as_a_run_was_started(ledger: Ledger) -> None:
    study = ledger.add("a", "default", arrived=True)
    ledger.compare(study.id, ["i1"], "t1")
    ledger.cancel(study.id, "ann")
    assert not ledger.is_begun(study.id)
    with pytest.raises(Conflict, match="processed first"):  # it would be done without any delivery
        ledger.deliver(study.id, [], anew=False, reason="retry", actor="ann")
    run = ledger.start(study.id, "default", ["there", "refused"]).run
    assert ledger.is_begun(study.id)
    ledger.move(study.id, states.EXPORTING, run=run)
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, run, "there", states.CONFIRMED, confirmed=1)
    deliveries.mark(study.id, run, "refused", states.UNDELIVERED)
    ledger.move(study.id, states.FAILED, run=run)
    ledger.compare(study.id, ["i1", "i2"], "t2")
    with pytest.raises(Conflict, match="processed first"):  # the second instance would not go there
        ledger.deliver(study.id, [], anew=False, reason="retry", actor="ann")
    ledger.start(study.id, "default", ["there", "refused"])
    assert {(d.version, d.state) for d in deliveries.of(study.id)} == {(2, states.PENDING)}


@pytest.mark.parametrize("last", [states.CONFIRMED, states.UNDELIVERED])
def test_a_study_that_is_to_go_elsewhere_too_does_not_end_at_that_moment(ledger: Ledger, last: str) -> None:
    study = verified(ledger, "first")
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, 1, "first", last)
    ledger.deliver(study.id, ["second"], anew=False, reason="asked", actor="ann")
    for state in (states.DONE, states.FAILED):
        with pytest.raises(Stale, match="one more destination"):
            ledger.end(study.id, state, run=1, reason=None)
    deliveries.mark(study.id, 1, "second", states.CONFIRMED, confirmed=1)
    ledger.end(study.id, states.DONE, run=1, reason=None)
    assert ledger.get(study.id).status == states.DONE


def test_a_worker_that_was_taken_for_dead_takes_nothing_back(ledger: Ledger) -> None:
    study = verified(ledger, "first")
    deliveries = Deliveries(ledger.engine)
    deliveries.mark(study.id, 1, "first", states.CONFIRMED, attempt=1, confirmed=1)
    for state in (states.PENDING, states.SENT, states.UNDELIVERED):
        with pytest.raises(Stale):
            deliveries.mark(study.id, 1, "first", state, attempt=1, reason="time-out")
    deliveries.mark(study.id, 1, "first", states.CONFIRMED, attempt=1, confirmed=1)
    ledger.end(study.id, states.DONE, run=1, reason=None)
    with pytest.raises(Stale):
        ledger.again(study.id, 1, 2, None, "time-out")
    assert ledger.get(study.id).status == states.DONE


def test_what_came_during_a_run_is_still_to_be_looked_at_after_the_next(ledger: Ledger) -> None:
    study = verified(ledger, "first")
    ledger.mark_recheck(study.id)
    ledger.move(study.id, states.FAILED, run=1)
    ledger.deliver(study.id, [], anew=False, reason="retry", actor="ann")
    assert ledger.get(study.id).recheck == 1
