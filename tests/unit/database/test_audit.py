"""The audit: written with the change, chained, and whatever is done to it is found."""

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine, delete, insert, update

from orthanc_deid import states
from orthanc_deid.chain import entry
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.audit import RECORDS, Audit, record
from orthanc_deid.database.crosswalk_tables import audit, audit_head
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.tables import study as study_table
from servers import CHECKOUT

KEY = bytes(range(32))
SOURCE = "0000000{0}-00000000-00000000-00000000-00000000"
SHARED = "ffffffff-00000000-00000000-00000000-00000000"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = open_database(database_url, KEY)
    migrate(made)
    yield made
    made.dispose()


def written(engine: Engine, count: int = 10) -> Audit:
    """Write some records."""
    kept = Audit(engine, KEY)
    for number in range(count):
        kept.write("batch", actor="somebody", project="brain", action="begun", rows=number, share=0.1 * number)
    return kept


def test_records_are_numbered_from_one_without_a_gap_and_verify(engine: Engine) -> None:
    kept = written(engine)
    assert [one.id for one in kept.page()] == list(range(1, 11))
    found = kept.verify()
    assert (found.last, found.fault, found.ended) == (10, None, True)
    head = kept.head()
    assert head
    assert (head.last, head.hash) == (10, found.hash)


def test_an_empty_audit_verifies(engine: Engine) -> None:
    assert Audit(engine, KEY).verify().fault is None


def test_several_records_of_a_transaction_follow_each_other(engine: Engine) -> None:
    with engine.begin() as connection:
        for what in ("received", "held"):
            record(connection, what, actor="system")
    assert [one.what for one in Audit(engine, KEY).page()] == ["received", "held"]
    assert Audit(engine, KEY).verify().fault is None


def test_what_is_rolled_back_leaves_no_record(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:  # noqa: PT012  # both must be within
        record(connection, "held", actor="system")
        raise ZeroDivisionError
    kept = written(engine, 1)
    assert [one.what for one in kept.page()] == ["batch"]


def test_a_record_of_no_known_kind_is_refused(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(KeyError):
        record(connection, "smiled", actor="system")


def test_long_details_are_cut_and_none_is_lost(engine: Engine) -> None:
    kept = Audit(engine, KEY)
    kept.write("batch", actor="a" * 100, **{f"n{i}": "ü\x00" * 400 for i in range(5)})
    (one,) = kept.page()
    assert len(one.detail) <= 2000
    assert len(one.actor) == 64
    assert kept.verify().fault is None


def test_another_key_is_told_from_ours(engine: Engine, database_url: str) -> None:
    kept = written(engine, 3)
    other = open_database(database_url)
    Audit(other, b"").write("batch", actor="somebody")
    fault = kept.verify().fault
    other.dispose()
    assert fault
    assert fault.number == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [("at", 1.0), ("what", "done"), ("actor", "x"), ("project", None), ("study_id", 4), ("detail", "{}"),
     ("hash", "0" * 64)],
)  # fmt: skip
def test_a_changed_record_is_named(engine: Engine, column: str, value: object) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.id == 4).values(**{column: value}))
    fault = kept.verify().fault
    assert fault
    assert fault.number == 4


@pytest.mark.parametrize("number", [1, 5])
def test_a_missing_record_is_named(engine: Engine, number: int) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.id == number))
    fault = kept.verify().fault
    assert fault
    assert (fault.number, fault.why) == (number, "is missing")


def test_a_record_that_was_taken_out_is_found_where_the_others_close_up(engine: Engine) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.id == 5))
        for number in range(6, 11):
            connection.execute(update(audit).where(audit.c.id == number).values(id=number - 1))
    fault = kept.verify().fault
    assert fault
    assert fault.number == 5


def test_reordered_records_are_found(engine: Engine) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        for before, after in ((3, 99), (4, 3), (99, 4)):
            connection.execute(update(audit).where(audit.c.id == before).values(id=after))
    fault = kept.verify().fault
    assert fault
    assert fault.number == 3


@pytest.mark.parametrize("number", [0, -1, 11])
def test_an_inserted_record_is_found(engine: Engine, number: int) -> None:
    kept = written(engine)
    copied = replace(kept.page(limit=1)[0], id=number)
    with engine.begin() as connection:
        connection.execute(insert(audit).values(**copied.columns))
    fault = kept.verify().fault
    assert fault
    assert fault.number == number


def test_a_tail_that_was_cut_off_is_found(engine: Engine) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.id > 7))
    fault = kept.verify().fault
    assert fault
    assert fault.number == 8


def test_a_head_set_back_is_found_also_after_more_was_written(engine: Engine) -> None:
    kept = written(engine)
    earlier = kept.page()[6]
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.id > 7))
        connection.execute(update(audit_head).values(last=7, hash=earlier.hash))
    assert kept.verify().fault
    assert not kept.is_head_right()
    written(engine, 3)
    fault = kept.verify().fault
    assert fault
    assert "proof" in fault.why


def test_a_whole_audit_that_was_deleted_is_found(engine: Engine) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit))
    fault = kept.verify().fault
    assert fault
    assert fault.number == 1


def test_a_missing_head_is_found_and_nothing_is_written_over(engine: Engine) -> None:
    kept = written(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit_head))
    assert kept.verify().fault
    with pytest.raises(Exception, match="set back"):
        written(engine, 1)
    assert len(kept.page()) == 10


def test_verification_goes_on_where_it_was_interrupted(engine: Engine) -> None:
    kept = written(engine)
    early = kept.verify(most_s=0)
    assert not early.ended
    half = kept.page()[4]
    rest = kept.verify(after=half.id, before=half.hash)
    assert (rest.last, rest.fault, rest.ended) == (10, None, True)
    assert kept.verify(after=half.id, before="0" * 64).fault


def test_a_line_of_an_export_is_read_back_as_it_was(engine: Engine) -> None:
    kept = written(engine)
    assert [entry(one.shown) for one in kept.page()] == kept.page()


def _work(ledger: Ledger, number: int) -> None:
    """Take a study of its own, and one that all share, through some states."""
    own = ledger.add(SOURCE.format(number), "brain")
    shared = ledger.add(SHARED, "brain")
    for _ in range(8):
        for study in (own, shared):
            ledger.note(study.id, "copies", "anna", "shown")
        with ledger.engine.begin() as connection:
            record(connection, "batch", actor="anna", batch=number)
            connection.execute(update(study_table).where(study_table.c.id == own.id).values(recheck=1))


def _process(url: str, number: int) -> None:
    engine = open_database(url, KEY)
    _work(Ledger(engine), number)
    engine.dispose()


def test_eight_threads_write_studies_and_records_at_once(engine: Engine, database_url: str) -> None:
    ledgers = [Ledger(open_database(database_url, KEY)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(_work, ledger, number) for number, ledger in enumerate(ledgers)]:
            done.result(60)
    for ledger in ledgers:
        ledger.engine.dispose()
    found = Audit(engine, KEY).verify()
    assert (found.last, found.fault) == (9 + 8 * 8 * 3, None)


def test_several_processes_write_one_chain(engine: Engine, database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_process, args=(database_url, number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 3
    found = Audit(engine, KEY).verify()
    assert (found.last, found.fault) == (4 + 3 * 8 * 3, None)


def test_a_study_is_audited_from_its_arrival_to_its_end(engine: Engine) -> None:
    ledger = Ledger(engine)
    study = ledger.add(SOURCE.format(1), "brain")
    ledger.compare(study.id, ["an-instance"], "now")
    ledger.start(study.id, "brain", ["disk"], actor="anna", reason="asked for by a person")
    ledger.move(study.id, states.DEIDENTIFYING, run=1)
    ledger.move(study.id, states.VERIFYING, run=1)
    ledger.set_verified(study.id, 1, 1)
    ledger.set_verified(study.id, 1, 1)  # by a second try of the step
    ledger.move(study.id, states.EXPORTING, run=1)
    deliveries = Deliveries(engine)
    for state in (states.PENDING, states.SENT, states.CONFIRMED):
        deliveries.mark(study.id, 1, "disk", state, reason="away" if state == states.PENDING else None)
    ledger.end(study.id, states.DONE, run=1, reason=None)
    ledger.note_removed(study.id, "source", "older than 30 days")
    told = Audit(engine, KEY).page(study_id=study.id)
    assert [one.what for one in told] == [
        "received", "begun", "verified", "exported", "confirmed", "done", "deleted",
    ]  # fmt: skip
    assert {one.project for one in told} == {"brain"}
    assert [one.actor for one in told] == ["system", "anna", *["system"] * 4, "retention"]


def test_a_persons_reason_to_reject_is_in_no_record(engine: Engine) -> None:
    ledger = Ledger(engine)
    study = ledger.add(SOURCE.format(1), "brain")
    with engine.begin() as connection:
        connection.execute(update(study_table).values(status=states.REVIEW))
    ledger.reject(study.id, "rejected: Smith^John", "anna")
    newest = Audit(engine, KEY).page(newest=True)[0]
    assert (newest.what, "Smith" in newest.detail) == ("rejected", False)


def test_all_kinds_of_records_are_short_and_explained() -> None:
    assert all(len(name) <= 32 and told and told[0].islower() for name, told in RECORDS.items())
    page = (CHECKOUT / "docs" / "audit.md").read_text()
    assert [name for name in RECORDS if f"| `{name}` |" not in page] == []


def test_every_record_that_is_written_is_of_a_known_kind() -> None:
    code = [path.read_text() for path in (CHECKOUT / "plugin" / "orthanc_deid").rglob("*.py")]
    written = {
        name for text in code for name in re.findall(r'(?:record\(\s*\w*connection,|audit\.write\()\s*"([^"]+)"', text)
    }
    assert written <= set(RECORDS)
    assert written >= {"received", "profile", "approved", "deleted", "pseudonym", "refused", "shown"}
