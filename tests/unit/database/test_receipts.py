from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.deliveries import Deliveries
from orthanc_deid.database.ledger import Ledger
from orthanc_deid.database.receipts import Receipts
from orthanc_deid.errors import NotFound

SHA = "a" * 64


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    engine = open_database(database_url)
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()


@pytest.fixture
def study(ledger: Ledger) -> int:
    found = ledger.add("a", "default")
    ledger.compare(found.id, ["i1"], "t1")
    ledger.start(found.id, "default", ["research", "backup"])
    return found.id


@pytest.fixture
def receipts(ledger: Ledger, study: int) -> Receipts:
    return Deliveries(ledger.engine).receipts(study, "research")


def test_what_has_arrived_is_remembered_and_replaced(receipts: Receipts) -> None:
    assert receipts.get("a.dcm") is None
    receipts.put("a.dcm", 2**40, SHA, "v1")
    assert receipts.get("a.dcm") == (2**40, SHA, "v1")
    receipts.put("a.dcm", 5, SHA, "x" * 300)
    assert receipts.get("a.dcm") == (5, SHA, "x" * 200)
    assert receipts.count() == 1


def test_each_destination_has_receipts_of_its_own(ledger: Ledger, study: int, receipts: Receipts) -> None:
    receipts.put("a.dcm", 5, SHA, "")
    other = Deliveries(ledger.engine).receipts(study, "backup")
    assert other.get("a.dcm") is None
    other.forget()
    assert receipts.count() == 1


def test_sent_anew_nothing_has_arrived(receipts: Receipts) -> None:
    receipts.put("a.dcm", 5, SHA, "")
    receipts.forget()
    assert (receipts.count(), receipts.get("a.dcm")) == (0, None)


def test_no_name_of_a_thing_is_stored(ledger: Ledger, receipts: Receipts) -> None:
    receipts.put("Zyxwvut/1.2.3.dcm", 5, SHA, "")
    with ledger.engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM receipt")).all())
    assert SHA in stored
    assert "Zyxwvut" not in stored
    assert "1.2.3" not in stored


def test_many_can_be_noted_at_once(receipts: Receipts) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: receipts.put(f"{n}.dcm", n, SHA, ""), range(40)))
    assert receipts.count() == 40


def test_a_destination_without_a_delivery_has_none(ledger: Ledger, study: int) -> None:
    with pytest.raises(NotFound, match="no delivery to elsewhere"):
        Deliveries(ledger.engine).receipts(study, "elsewhere")
