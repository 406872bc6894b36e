import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from orthanc_deid import states
from orthanc_deid.database import marks, migrate, open_database, views
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.studies import address_of
from orthanc_deid.database.tables import study

SEEN = "20261121T080000"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    database = open_database(database_url)
    migrate(database)
    yield Ledger(database)
    database.dispose()


def test_what_is_marked_is_ignored_with_the_name_of_who_did_it(ledger: Ledger) -> None:
    ledger.add("received", "ct")
    ledger.add("waiting", "ct", status=states.WAITING)
    told = marks.mark(ledger.engine, {"received": SEEN, "waiting": SEEN, "unknown": SEEN, "gone": None}, "ada")
    assert told == marks.Marked(marked=4)
    for source in ("received", "waiting", "unknown", "gone"):
        found = views.one(ledger.engine, source)
        assert (found["status"], found["reason"]) == (states.IGNORED, "marked as processed by ada")
        assert [(e["status"], e["actor"]) for e in found["events"]][-1] == (states.IGNORED, "ada")
    assert ledger.last_updates(["unknown", "gone"]) == {"unknown": SEEN, "gone": None}


def test_what_has_ended_or_is_at_work_stays_as_it_is(ledger: Ledger) -> None:
    for state in (states.DONE, states.FAILED, states.CANCELLED, states.REVIEW):
        ledger.add(state, "ct", status=state)
    ledger.add("before", "", status=states.IGNORED, reason="de-identified by this software before")
    ledger.add("nobody", "", status=states.IGNORED, reason="no project matches")
    ledger.add(states.DEIDENTIFYING, "ct", status=states.DEIDENTIFYING)
    names = (states.DONE, states.FAILED, states.CANCELLED, states.REVIEW, "before", "nobody", states.DEIDENTIFYING)
    told = marks.mark(ledger.engine, dict.fromkeys(names, SEEN), "ada", may_change=("no project matches",))
    assert told == marks.Marked(marked=1, already=5, at_work=1)
    assert marks.mark(ledger.engine, dict.fromkeys(names, SEEN), "ada").already == 6
    assert len(views.one(ledger.engine, "nobody")["events"]) == 2


def test_a_result_of_ours_is_not_marked(ledger: Ledger) -> None:
    made = ledger.add("source", "ct")
    ledger.start(made.id, "ct", [])
    ledger.set_output(made.id, 1, "output")
    assert marks.mark(ledger.engine, {"output": SEEN}, "ada") == marks.Marked(results=1)
    assert ledger.find("output") is None
    known = marks.known(ledger.engine, ["source", "output", "else"])
    assert known.rows == {"source": (states.QUEUED, "ct")}
    assert known.outputs == {"output"}


def test_who_marks_many_locks_them_in_the_order_of_everybody(ledger: Ledger) -> None:
    for source in ("first", "second"):
        ledger.join(ledger.add(source, "ct").id, {"registry": "also of ct"})
    told: list[marks.Marked] = []

    def mark() -> None:
        told.append(marks.mark(ledger.engine, dict.fromkeys(("first", "second"), SEEN), "ada"))

    marking = threading.Thread(target=mark)
    with ledger.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = '3s'")
        for source in (address_of("first", "registry"), "second"):  # by number, as for a project that is sealed
            connection.execute(select(study.c.id).where(study.c.source == source).with_for_update()).one()
            if not marking.ident:
                marking.start()
                time.sleep(0.5)
    marking.join(30)
    assert told == [marks.Marked(marked=2)]
    assert {row.status for row in ledger.of_source("first")} == {states.IGNORED}
