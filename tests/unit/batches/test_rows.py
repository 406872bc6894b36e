import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from orthanc_deid import pacs, states
from orthanc_deid.batches import question
from orthanc_deid.batches.lists.table import Line
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.batches import Asked, Batches, BatchRow
from orthanc_deid.database.crosswalk import Crosswalk
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.gates import Gates
from orthanc_deid.database.intake_tables import metadata
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.origins import Origins
from orthanc_deid.engine import Outcome
from orthanc_deid.errors import NotFound, Rejected, Retriable, Stale
from orthanc_deid.keyring import Keyring
from orthanc_deid.pacs.base import Found, Instance, Wanted
from orthanc_deid.pipeline import PULL, Job
from orthanc_deid.pseudonymization.pseudonymizer import Pseudonymizer
from orthanc_deid.sealed import Seal
from orthanc_deid.settings import Configuration, Settings
from orthanc_deid.steps import Resources
from orthanc_deid.steps.perform import perform
from orthanc_deid.steps.subject import orthanc_id

ONE_SECOND = 1.0


class Held:
    """What our Orthanc holds: study to series to SOP Instance UIDs, as far as rows ask."""

    def __init__(self) -> None:
        self.studies: dict[str, dict[str, set[str]]] = {}
        self.strangers: list[str] = []  # Orthanc's ids of studies of the same UID

    def lookup(self, study_uid: str) -> list[str]:
        return [*self.strangers, orthanc_id("p", study_uid)] if study_uid in self.studies else []

    def series(self, study: str) -> list[dict[str, Any]]:
        return [{"ID": s, "MainDicomTags": {"SeriesInstanceUID": s}} for s in self._of(study)]

    def instances(self, study: str) -> list[dict[str, Any]]:
        return [
            {"ParentSeries": series, "MainDicomTags": {"SOPInstanceUID": uid}}
            for series, uids in self._of(study).items()
            for uid in uids
        ]

    def _of(self, study: str) -> dict[str, set[str]]:
        for uid, series in self.studies.items():
            if orthanc_id("p", uid) == study:
                return series
        raise NotFound("gone")


class Pacs:
    """An archive of studies; `withheld` never arrive, `told` False: it does not answer at image level."""

    def __init__(self, here: Held) -> None:
        self._here = here
        self.studies: dict[str, dict[str, list[str]]] = {}
        self.patients: dict[str, str] = {}
        self.withheld: set[str] = set()
        self.told = True
        self.error: Exception | None = None
        self.moves: list[tuple[str, str, int, str]] = []

    def add(self, study: str, **series: int) -> None:
        self.studies[study] = {f"{study}.{s}": [f"{study}.{s}.{k}" for k in range(n)] for s, n in series.items()}

    def find(self, wanted: Wanted) -> list[Found]:
        if self.error:
            raise self.error
        uids = [uid for uid in self.studies if uid in wanted.attributes["StudyInstanceUID"].split("\\")]
        return [
            Found(uid, patient_id=self.patients.get(uid, "p"), instances=sum(map(len, self.studies[uid].values())))
            for uid in uids
        ]

    def series(self, study_uid: str) -> list[Found]:
        return [Found(study_uid, s, instances=len(uids)) for s, uids in self.studies[study_uid].items()]

    def instances(self, study_uid: str, series_uid: str = "") -> list[Instance] | None:
        if not self.told:
            return None
        held = self.studies[study_uid]
        return [Instance(study_uid, s, uid) for s, uids in held.items() for uid in uids if series_uid in ("", s)]

    def retrieve(self, found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:
        if self.error:
            raise self.error
        self.moves.append((found.study_uid, found.series_uid, len(instances), target))
        wanted = {i.sop_uid for i in instances}
        if target:
            return
        for series, uids in self.studies[found.study_uid].items():
            sent = {u for u in uids if (not wanted or u in wanted) and u not in self.withheld}
            if found.series_uid in ("", series) and sent:
                self._here.studies.setdefault(found.study_uid, {}).setdefault(series, set()).update(sent)


class Rows:
    """Batches of one archive, worked on as a worker does it."""

    def __init__(self, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = open_database(database_url)
        migrate(self.engine)
        self.here = Held()
        self.pacs = Pacs(self.here)
        monkeypatch.setattr(pacs, "connect", lambda *_: self.pacs, raising=False)
        self.batches = Batches(self.engine)
        self.ledger = Ledger(self.engine)
        self.seal = Seal(bytes(32))
        self.home = home
        self.resources = self._resources({})

    def configure(self, **source: Any) -> None:  # noqa: ANN401  # keys of a source
        self.resources = self._resources(source)

    def _resources(self, source: dict[str, Any]) -> Resources:
        archive = {
            "kind": "pacs", "name": "pacs", "ae": "PACS", "host": "127.0.0.1", "port": 1, "arrive_s": ONE_SECOND,
        }  # fmt: skip
        values = {"sources": (archive | source,), "limits": {"backoff_s": 0.1}}
        configuration = Configuration.model_validate(values)
        settings = Settings.model_construct(home=self.home, configuration=configuration)
        crosswalk = Crosswalk(self.engine, Keyring(self.home, {"ORTHANC_DEID_KEY": "00" * 32}))
        return Resources(
            settings=settings,
            orthanc=cast("Any", self.here),
            ledger=self.ledger,
            deliveries=Deliveries(self.engine),
            gates=Gates(self.engine),
            batches=self.batches,
            origins=Origins(self.engine, self.seal),
            seal=self.seal,
            processes=cast("Any", None),
            converters=cast("Any", None),
            pseudonymizer=Pseudonymizer(configuration, crosswalk, self.home),
            work=self.home,
        )

    def begin(self, *uids: str, pseudonym: str = "", **asked: Any) -> int:  # noqa: ANN401  # fields of Asked
        lines = [
            Line(2 + k, Wanted("study", {"StudyInstanceUID": uid}), "", pseudonym, "", {"StudyInstanceUID": uid})
            for k, uid in enumerate(uids)
        ]
        asked_for = Asked(source="pacs", actor="admin", **asked)
        return self.batches.create(asked_for, [(li.number, question.close(self.seal, li)) for li in lines]).id

    def found(self, uid: str) -> Found:
        return self.pacs.find(Wanted("study", {"StudyInstanceUID": uid}))[0]

    def job(self, row: BatchRow) -> Job:
        return Job(PULL, row.id, row.batch_id, row.run, row.attempt, "pacs")

    def work(self, batch: int) -> list[tuple[str, str | None]]:
        """Run every row to its end; answer state and reason of each."""
        for row in self.batches.rows(batch):
            job: Job | None = self.job(row)
            for _ in range(20):
                if job is None:
                    break
                job = self.once(job)
        return [(row.state, row.reason) for row in self.batches.rows(batch)]

    def once(self, job: Job, *, until: str = "follow") -> Job | None:
        """Run one flow, at most up to a step; answer the job that follows."""
        outcome: Outcome | None = None
        for step in ("find", "retrieve", "account", "follow"):
            outcome = perform(step, job, self.resources)
            if step == until or not outcome["go_on"]:
                break
        assert outcome
        return Job(*outcome["follow"][0][0]) if outcome["follow"] else None


@pytest.fixture
def rows(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rows]:
    made = Rows(database_url, tmp_path, monkeypatch)
    yield made
    made.engine.dispose()


def test_what_a_row_names_arrives_and_is_counted(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3, b=2)
    assert rows.work(rows.begin("1.2")) == [(states.ROW_DELIVERED, "5 of 5 instances")]
    assert rows.pacs.moves == [("1.2", "", 0, "")]


def test_what_the_archive_does_not_have_is_not_found(rows: Rows) -> None:
    assert rows.work(rows.begin("1.9")) == [(states.ROW_NOT_FOUND, "the archive has no study of this kind")]


def test_what_is_here_already_is_not_fetched_again(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    rows.work(rows.begin("1.2"))
    told = "1 of 1 here already or being fetched by another row"
    assert rows.work(rows.begin("1.2", "1.2")) == [(states.ROW_DUPLICATE, told)] * 2
    assert len(rows.pacs.moves) == 1


def test_what_was_processed_and_deleted_since_is_not_fetched_again(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    source = orthanc_id("p", "1.2")
    study = rows.ledger.add(source, "default")
    instances = [orthanc_id("p", "1.2", "1.2.a", f"1.2.a.{k}") for k in range(2)]
    rows.ledger.compare(study.id, instances, "t1")
    started = rows.ledger.start(study.id, "default", [])
    made = rows.ledger.instances(study.id)
    results = [(i.id, states.INSTANCE_DEIDENTIFIED, f"out-{i.id}", None) for i in made]
    rows.ledger.mark_instances(study.id, started.run, results)
    assert rows.work(rows.begin("1.2"))[0][0] == states.ROW_DUPLICATE
    assert rows.pacs.moves == []


def test_only_what_is_missing_is_requested_again_and_then_told(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    rows.pacs.withheld = {"1.2.a.1"}
    batch = rows.begin("1.2")
    assert rows.work(batch) == [
        (states.ROW_PARTIAL, "2 of 3 instances; the rest was not sent, or was refused at the door")
    ]
    assert rows.pacs.moves == [("1.2", "", 0, ""), ("1.2", "", 1, ""), ("1.2", "", 1, "")]
    (study,) = rows.batches.studies(rows.batches.rows(batch)[0].id)
    assert study.missing
    assert rows.seal.open(study.missing) == ["1.2.a.1"]
    rows.pacs.withheld.clear()
    rows.batches.again(batch, states.ROW_UNDONE)
    assert rows.work(batch) == [(states.ROW_DELIVERED, "3 of 3 instances")]


def test_without_answers_at_image_level_numbers_are_compared(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    rows.pacs.told = False
    assert rows.work(rows.begin("1.2")) == [(states.ROW_DELIVERED, "3 of 3 instances")]
    rows.pacs.add("1.3", a=3)
    rows.pacs.withheld = {"1.3.a.1"}
    assert rows.work(rows.begin("1.3"))[0][0] == states.ROW_PARTIAL


def test_a_worker_that_was_ended_fetches_only_what_is_missing(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    rows.pacs.withheld = {"1.2.a.1"}
    batch = rows.begin("1.2")
    job = rows.job(rows.batches.rows(batch)[0])
    rows.once(job, until="retrieve")
    rows.pacs.withheld.clear()
    rows.once(job)  # the engine begins again with the first step that was not noted
    assert rows.pacs.moves == [("1.2", "", 0, ""), ("1.2", "", 1, "")]
    assert rows.batches.rows(batch)[0].state == states.ROW_DELIVERED


def test_where_it_belongs_is_known_before_it_arrives(rows: Rows) -> None:
    rows.pacs.add("1.2", a=1)
    rows.pacs.error = None
    batch = rows.begin("1.2", project="brain", hold=True)
    noted: list[Any] = []
    before = rows.pacs.retrieve

    def retrieve(found: Found, instances: Sequence[Instance] = (), target: str = "") -> None:
        noted.append(rows.resources.origins.find("1.2"))
        before(found, instances, target)

    rows.pacs.retrieve = retrieve  # type: ignore[method-assign]  # looks before it sends
    rows.work(batch)
    assert [dataclasses.replace(n, digest=None) for n in noted] == [
        dataclasses.replace(noted[0], digest=None, source="pacs", project="brain", hold=True)
    ]


def test_a_pseudonym_is_not_given_to_what_several_patients_match(rows: Rows) -> None:
    rows.pacs.add("1.2", a=1)
    rows.pacs.add("1.3", a=1)
    rows.pacs.patients = {"1.2": "MRN-1", "1.3": "MRN-2"}
    told = "what matches is of 2 patients, and the line gives one pseudonym"
    assert rows.work(rows.begin("1.2\\1.3", pseudonym="P1")) == [(states.ROW_REFUSED, told)]
    assert rows.pacs.moves == []
    assert rows.work(rows.begin("1.2\\1.3")) == [(states.ROW_DELIVERED, "2 of 2 instances")]


def test_another_patients_study_of_the_same_uid_is_not_taken_for_it(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    rows.here.strangers = [orthanc_id("q", "1.2")]
    batch = rows.begin("1.2")
    rows.work(batch)
    (study,) = rows.batches.studies(rows.batches.rows(batch)[0].id)
    assert study.orthanc == orthanc_id("p", "1.2")


def test_whose_a_pseudonym_is_is_noted_with_it(rows: Rows) -> None:
    rows.pacs.add("1.2", a=1)
    rows.work(rows.begin("1.2", pseudonym="P1"))
    origin = rows.resources.origins.find("1.2")
    assert origin
    assert (origin.pseudonym, origin.patient) == ("P1", "p")


def test_an_archive_that_is_away_is_asked_again_and_one_that_refuses_is_not(rows: Rows) -> None:
    rows.pacs.add("1.2", a=1)
    batch = rows.begin("1.2")
    rows.pacs.error = Retriable("the PACS does not answer")
    job = rows.once(rows.job(rows.batches.rows(batch)[0]))
    assert job
    assert job.attempt == 2
    row = rows.batches.rows(batch)[0]
    assert (row.state, row.reason) == (states.ROW_WORKING, "find: the PACS does not answer")
    assert row.next_attempt_at
    rows.pacs.error = Rejected("it does not know our AE title")
    assert rows.once(job) is None
    assert rows.work(batch) == [(states.ROW_REFUSED, "it does not know our AE title")]


def test_a_refusal_to_send_is_tried_as_often_as_what_is_missing(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.pacs.add("1.2", a=1)
    asked: list[str] = []

    def refuse(*_: object) -> None:
        asked.append("move")
        raise Rejected("it does not know the move destination")

    monkeypatch.setattr(rows.pacs, "retrieve", refuse)
    assert rows.work(rows.begin("1.2")) == [(states.ROW_REFUSED, "it does not know the move destination")]
    assert len(asked) == 3


def test_series_are_counted_for_the_wait_between_batches(rows: Rows) -> None:
    rows.configure(batch_size=2, batch_wait_s=1.0)
    rows.pacs.add("1.2", a=1, b=1, c=1)
    assert rows.work(rows.begin("1.2")) == [(states.ROW_DELIVERED, "3 of 3 instances")]
    assert [move[1] for move in rows.pacs.moves] == ["1.2.a", "1.2.b", "1.2.c"]
    assert rows.resources.gates.get("pacs").begun == 1


def test_a_dry_run_retrieves_nothing(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    assert rows.work(rows.begin("1.2", mode="find")) == [(states.ROW_FOUND, "1 studies, 3 instances")]
    assert rows.pacs.moves == []


def test_what_is_moved_to_another_ae_is_not_counted_here(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    assert rows.work(rows.begin("1.2", target="OTHER")) == [
        (states.ROW_DELIVERED, "moved: what arrives there is not counted here")
    ]
    assert rows.pacs.moves == [("1.2", "", 0, "OTHER")]
    assert rows.resources.origins.find("1.2") is None


def test_a_paused_batch_waits_without_using_an_attempt(rows: Rows) -> None:
    rows.pacs.add("1.2", a=3)
    batch = rows.begin("1.2")
    rows.batches.set_state(batch, states.BATCH_PAUSED)
    job = rows.once(rows.job(rows.batches.rows(batch)[0]))
    assert job
    assert (job.attempt, job.waits) == (1, 1)


def test_nothing_of_a_patient_stands_in_clear_in_the_database(rows: Rows) -> None:
    rows.pacs.add("1.2.999777", a=2)
    rows.work(rows.begin("1.2.999777"))
    with rows.engine.connect() as connection:
        held = [str(connection.execute(select(table)).all()) for table in metadata.tables.values()]
    assert all("999777" not in text for text in held)


def test_what_a_row_that_failed_was_to_fetch_is_fetched_by_the_next(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    first, second = rows.begin("1.2"), rows.begin("1.2")
    rows.once(rows.job(rows.batches.rows(first)[0]), until="find")
    job = rows.once(rows.job(rows.batches.rows(second)[0]))
    assert job
    assert rows.batches.rows(second)[0].reason == "waits: another row fetches the same study"
    rows.batches.set_state(first, states.BATCH_CANCELLED)
    while job:
        job = rows.once(job)
    assert [(r.state, r.reason) for r in rows.batches.rows(second)] == [(states.ROW_DELIVERED, "2 of 2 instances")]


def test_what_another_row_has_fetched_meanwhile_is_a_duplicate(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    first, second = rows.begin("1.2"), rows.begin("1.2")
    one = rows.job(rows.batches.rows(first)[0])
    rows.once(one, until="find")
    job = rows.once(rows.job(rows.batches.rows(second)[0]))
    rows.once(one)
    while job:
        job = rows.once(job)
    assert rows.batches.rows(second)[0].state == states.ROW_DUPLICATE
    assert rows.batches.studies(rows.batches.rows(second)[0].id)[0].orthanc
    assert len(rows.pacs.moves) == 1


def test_two_rows_that_name_each_other_s_studies_both_end(rows: Rows) -> None:
    for uid in ("1.2", "1.3"):
        rows.pacs.add(uid, a=1)
    first, second = rows.begin("1.2\\1.3"), rows.begin("1.2\\1.3")
    one, two = (rows.job(rows.batches.rows(batch)[0]) for batch in (first, second))
    rows.batches.claim(one.study, 1, [question.close_found(rows.seal, rows.found("1.2"))])
    rows.batches.claim(two.study, 1, [question.close_found(rows.seal, rows.found("1.3"))])
    rows.batches.claim(one.study, 1, [question.close_found(rows.seal, rows.found("1.3"))])
    rows.batches.claim(two.study, 1, [question.close_found(rows.seal, rows.found("1.2"))])
    left: list[Job | None] = [one, two]
    for _ in range(6):
        left = [job and rows.once(job) for job in left]
    assert left == [None, None]
    assert [rows.batches.rows(b)[0].state for b in (first, second)] == [states.ROW_DELIVERED] * 2


def test_what_goes_to_another_ae_is_no_duplicate_of_what_comes_here(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    away = rows.begin("1.2", target="OTHER")
    rows.once(rows.job(rows.batches.rows(away)[0]), until="find")
    assert rows.work(rows.begin("1.2")) == [(states.ROW_DELIVERED, "2 of 2 instances")]


def test_a_row_does_not_wait_for_a_batch_that_is_paused(rows: Rows) -> None:
    rows.pacs.add("1.2", a=2)
    first = rows.begin("1.2")
    rows.once(rows.job(rows.batches.rows(first)[0]), until="find")
    rows.batches.set_state(first, states.BATCH_PAUSED)
    assert rows.work(rows.begin("1.2")) == [(states.ROW_DELIVERED, "2 of 2 instances")]


def test_a_study_that_never_comes_whole_takes_no_turn_of_the_next(rows: Rows) -> None:
    rows.configure(studies_per_hour=7200)  # one in half a second
    rows.pacs.add("1.2", a=2)
    rows.pacs.add("1.3", a=1)
    rows.pacs.withheld = {"1.2.a.1"}
    batch = rows.begin("1.2\\1.3")
    job: Job | None = rows.job(rows.batches.rows(batch)[0])
    for _ in range(8):
        if job:
            job = rows.once(job)
            time.sleep(0.6)
    assert job is None
    assert rows.batches.rows(batch)[0].state == states.ROW_PARTIAL
    assert "1.3" in rows.here.studies


def test_what_is_being_sent_when_a_batch_is_paused_is_finished(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    going: list[Callable[[], object]] = []

    def connect(*given: Any) -> Pacs:  # noqa: ANN401  # settings, Orthanc and what we want
        going.append(given[2])
        return rows.pacs

    monkeypatch.setattr(pacs, "connect", connect)
    rows.pacs.add("1.2", a=3)
    batch = rows.begin("1.2")
    rows.once(rows.job(rows.batches.rows(batch)[0]), until="retrieve")
    rows.batches.set_state(batch, states.BATCH_PAUSED)
    going[-1]()
    rows.batches.set_state(batch, states.BATCH_CANCELLED)
    with pytest.raises(Stale):
        going[-1]()


def test_the_most_studies_are_of_those_that_are_not_here(rows: Rows) -> None:
    for uid in ("1.2", "1.3", "1.4"):
        rows.pacs.add(uid, a=1)
    rows.work(rows.begin("1.2"))
    batch = rows.begin("1.2\\1.3\\1.4", studies_most=1)
    assert rows.work(batch)[0][0] == states.ROW_DELIVERED
    assert set(rows.here.studies) == {"1.2", "1.3"}
    rows.work(rows.begin("1.2\\1.3\\1.4", studies_most=1))
    assert set(rows.here.studies) == {"1.2", "1.3", "1.4"}
