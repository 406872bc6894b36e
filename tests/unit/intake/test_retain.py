"""Deleting by rule in a real Orthanc: what arrives at that moment stays, and nobody waits for what takes long."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orthanc_deid import states
from orthanc_deid.database import migrate, open_database, views
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger, Study
from orthanc_deid.database.origins import Origins
from orthanc_deid.engine import Queue
from orthanc_deid.engine import migrate as migrate_engine
from orthanc_deid.errors import Retriable
from orthanc_deid.intake import retain
from orthanc_deid.intake.examine import Intake
from orthanc_deid.intake.retain import Retainer
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from orthanc_deid.sealed import Seal
from orthanc_deid.settings import Configuration
from servers import OrthancServer, wait_for
from studies import Person, ct_study

PEER = {"kind": "orthanc-peer", "name": "research", "url": "http://127.0.0.1:1/"}
RULE = {"after_days": 0.0}
AT_ONCE: dict[str, object] = {"sources": RULE, "outputs": RULE, "results": RULE}


class Watched(Orthanc):
    """Orthanc, with something that happens before each deletion, and what it was asked."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.before: Callable[[], object] = lambda: None
        self.asked: list[str] = []

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        self.asked.append(path)
        return super().get(path)

    def delete(self, level: str, resource: str) -> None:
        self.before()
        super().delete(level, resource)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with OrthancServer(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


class Held:
    """Studies that are done, in a ledger and in Orthanc."""

    def __init__(self, server: OrthancServer, home: Path, retention: dict[str, object]) -> None:
        url = f"sqlite:///{home / 'deid.sqlite'}"
        self.database = open_database(url)
        migrate(self.database)
        migrate_engine(url)
        self.queue = Queue(url)
        self.ledger = Ledger(self.database)
        self.orthanc = Watched(Address(server.url, basic("admin", server.password)))
        values = {
            "projects": ({"name": "default", "destinations": ("research",)},), "destinations": (PEER,),
            "retention": retention,
        }  # fmt: skip
        origins = Origins(self.database, Seal(bytes(32)))
        intake = Intake(Configuration.model_validate(values), self.orthanc, self.ledger, self.queue, origins)
        self.results = home / "results"
        self.retainer = Retainer(intake, home, self.results)

    def study(self, person: Person, number: int = 3, *, confirmed: bool = True, done: bool = True) -> Study:
        """Note a study as done, or at work; its output is another person's study."""
        sources = [self.orthanc.store(file) for file in ct_study(person, number)]
        outputs = [self.orthanc.store(file) for file in ct_study(Person(person.number + 500), number)]
        source, output = (self.orthanc.get(f"/instances/{ids[0]}/study")["ID"] for ids in (sources, outputs))
        study = self.ledger.add(source, "default")
        self.ledger.compare(study.id, sources, "t1")
        run = self.ledger.start(study.id, "default", ["research"]).run
        made = zip(self.ledger.instances(study.id), outputs, strict=True)
        self.ledger.move(study.id, states.DEIDENTIFYING, run=run)
        self.ledger.set_output(study.id, run, output)
        self.ledger.mark_instances(study.id, run, [(i.id, "deidentified", o, None) for i, o in made])
        self.ledger.move(study.id, states.VERIFYING, run=run)
        self.ledger.set_verified(study.id, run, 1)
        if confirmed:
            Deliveries(self.database).mark(study.id, run, "research", states.CONFIRMED, confirmed=number)
        if done:
            self.ledger.move(study.id, states.DONE, run=run)
        return self.ledger.get(study.id)

    def close(self) -> None:
        self.queue.close()
        self.database.dispose()


@pytest.fixture
def new_held(server: OrthancServer, tmp_path: Path) -> Iterator[Callable[..., Held]]:
    made: list[Held] = []

    def make(**retention: object) -> Held:
        made.append(Held(server, tmp_path, retention or AT_ONCE))
        return made[-1]

    yield make
    for each in made:
        each.close()


_people = iter(range(1, 400))


@pytest.fixture
def person() -> Person:
    return Person(next(_people))


def test_what_arrives_while_it_is_deleted_stays(new_held: Callable[..., Held], person: Person) -> None:
    held = new_held()
    study = held.study(person)
    late: list[str] = []

    def arrive() -> None:
        if not late:
            late.extend(held.orthanc.store(file) for file in ct_study(person, 2, first=4))

    held.orthanc.before = arrive
    held.retainer.run(20)
    assert held.orthanc.present(study.source) == set(late)


def test_a_study_that_begins_anew_keeps_the_rest(
    new_held: Callable[..., Held], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retain, "LOOK_EVERY", 1)
    held = new_held(sources=RULE)
    study = held.study(person)

    def begin() -> None:
        held.ledger.compare(study.id, ["late"], "t2")

    held.orthanc.before = begin
    assert held.retainer.run(20) == []
    assert len(held.orthanc.present(study.source)) == 2
    assert [e["actor"] for e in views.one(held.database, study.source)["events"]].count("retention") == 0
    assert held.ledger.get(study.id).removed == 0


def test_a_study_that_was_sent_anew_since_the_plan_is_planned_anew(
    new_held: Callable[..., Held], person: Person
) -> None:
    held = new_held(outputs=RULE)
    held.study(person)
    second = held.study(Person(person.number + 1000))

    def lose_the_copy() -> None:
        if held.ledger.get(second.id).run == second.run:
            held.ledger.deliver(second.id, ["research"], anew=True, reason="asked", actor="ann")
            Deliveries(held.database).mark(second.id, second.run + 1, "research", states.UNDELIVERED)
            held.ledger.end(second.id, states.DONE, run=second.run + 1, reason=None)

    held.orthanc.before = lose_the_copy
    held.retainer.run(20)
    assert len(held.orthanc.present(second.output or "")) == 3


def test_a_run_that_takes_long_goes_on_while_its_caller_does_other_things(
    new_held: Callable[..., Held], person: Person
) -> None:
    held = new_held(sources=RULE)
    study = held.study(person)
    may_delete = threading.Event()
    held.orthanc.before = lambda: may_delete.wait(20)
    assert held.retainer.run(0.05) == []
    assert held.retainer.run(0.05) == []  # the same run, not a second one
    assert len(held.orthanc.present(study.source)) == 3
    may_delete.set()
    wait_for(lambda: not held.orthanc.present(study.source), what="deleted")
    wait_for(lambda: held.ledger.get(study.id).removed, what="noted")


def test_a_run_that_was_broken_off_is_ended_by_the_next(new_held: Callable[..., Held], person: Person) -> None:
    held = new_held(sources=RULE)
    study = held.study(person)
    deleted: list[int] = []

    def fail() -> None:
        deleted.append(1)
        if len(deleted) == 2:
            raise Retriable("Orthanc cannot be reached")

    held.orthanc.before = fail
    with pytest.raises(Retriable):
        held.retainer.run(20)
    assert len(held.orthanc.present(study.source)) == 2
    assert [removal.study for removal in held.retainer.run(20)] == [study.id]
    assert held.orthanc.present(study.source) == set()
    assert held.retainer.run(20) == []


def test_only_what_can_be_due_is_read_and_the_decision_is_the_same(
    new_held: Callable[..., Held], person: Person
) -> None:
    held = new_held(sources={"after_days": 1.0}, outputs={"when_disk_is_low": True}, free_bytes=0)
    held.study(person)
    assert held.retainer.plan() == []
    assert [path for path in held.orthanc.asked if "statistics" in path] == []


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_plan_names_what_goes_and_deletes_nothing(
    new_held: Callable[..., Held], person: Person, *, confirmed: bool
) -> None:
    held = new_held()
    study = held.study(person, confirmed=confirmed)
    planned = held.retainer.plan()
    assert [removal.what for removal in planned] == (["source", "output"] if confirmed else [])
    assert len(held.orthanc.present(study.source)) == 3
    assert held.retainer.run(20) == planned
    assert bool(held.orthanc.present(study.source)) is not confirmed


@pytest.mark.parametrize(
    "peer",
    [
        {"kind": "folder", "name": "research", "path": "/tmp", "content": ("nifti", "png")},  # noqa: S108  # not used
        {"kind": "http", "name": "research", "url": "http://127.0.0.1:1/", "send": {"content": "png", "body": "raw"}},
    ],
)
def test_volumes_and_pictures_are_no_copy_of_a_study(
    new_held: Callable[..., Held], person: Person, peer: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "PEER", peer)
    held = new_held()
    study = held.study(person)
    assert [removal.what for removal in held.retainer.run(20)] == ["source"]
    assert len(held.orthanc.present(study.output or "")) == 3


def test_results_go_by_study_and_half_made_ones_of_the_dead_in_any_case(
    new_held: Callable[..., Held], person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orthanc_deid.results.cache.YOUNG_S", 0.0)
    held = new_held(sources={"keep": True})
    study = held.study(person)
    whole, half = (held.results / str(study.id) / name for name in ("nifti-1", ".new-abc"))
    for folder in (whole, half):
        folder.mkdir(parents=True)
        (folder / "a.nii").write_bytes(b"x" * 100)
    assert held.retainer.run(20) == []
    assert whole.exists()
    assert not half.exists()


def test_conversions_of_studies_that_ended_otherwise_are_bounded_too(
    new_held: Callable[..., Held], person: Person
) -> None:
    held = new_held(most_bytes=1000)
    study = held.study(person, done=False)
    held.ledger.move(study.id, states.FAILED, run=study.run, reason="refused")
    folder = held.results / str(study.id) / "nifti-1"
    folder.mkdir(parents=True)
    (folder / "a.nii").write_bytes(b"x" * 900)
    assert held.retainer.run(20) == []
    (folder / "b.nii").write_bytes(b"x" * 200)
    planned = held.retainer.plan()
    assert [(removal.study, removal.what, removal.bytes) for removal in planned] == [(study.id, "results", 1100)]
    assert held.retainer.run(20) == planned
    assert not folder.exists()
    assert len(held.orthanc.present(study.source)) == 3
    last = views.one(held.database, study.source)["events"][-1]
    assert (last["actor"], last["status"]) == ("retention", states.FAILED)
