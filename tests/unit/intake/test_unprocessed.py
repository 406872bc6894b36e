import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import insert

from fake_archive import FakeArchive, FakeStudy
from orthanc_deid import states
from orthanc_deid.database.tables import study
from orthanc_deid.intake import unprocessed
from orthanc_deid.intake.examine import Intake
from orthanc_deid.intake.unprocessed import Place, Wanted, look
from orthanc_deid.orthanc_rest import Orthanc

ALL = Wanted()


def ids(intake: Intake, wanted: Wanted = ALL, limit: int = 100) -> list[str]:
    return list(walk(intake, wanted, limit))


def walk(intake: Intake, wanted: Wanted, limit: int) -> Iterator[str]:
    """Yield what a client sees that asks page by page."""
    place: Place | None = Place()
    while place is not None:
        found, place = look(intake, wanted, place, limit)
        place = Place.of(str(place)) if place else None
        yield from [each.source for each in found]


def hold(archive: FakeArchive, *names: str, **more: Any) -> None:  # noqa: ANN401  # fields of FakeStudy
    for name in names:
        archive.held[name] = FakeStudy([f"{name}-1"], **more)


def test_what_is_new_or_waits_is_listed_and_nothing_else(intake: Intake, archive: FakeArchive) -> None:
    hold(archive, "new", "received", "waiting", "done", "ignored", "failed", "output")
    intake.ledger.add("received", "default")
    intake.ledger.add("waiting", "default", status=states.WAITING)
    intake.ledger.add("ignored", "", status=states.IGNORED)
    intake.ledger.add("failed", "default", status=states.FAILED)
    made = intake.ledger.add("done", "default")
    intake.ledger.start(made.id, "default", [])
    intake.ledger.set_output(made.id, 1, "output")
    found, after = look(intake, ALL, Place(), 100)
    assert [(each.source, each.status) for each in found] == [
        ("new", None),
        ("received", "received"),
        ("waiting", "waiting"),
    ]
    assert after is None


def test_pages_hold_each_study_once(intake: Intake, archive: FakeArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprocessed, "PAGE", 4)
    monkeypatch.setattr(unprocessed, "BACK", 2)
    hold(archive, *(f"s{n}" for n in range(11)))
    for limit in (1, 2, 3, 5, 11, 12):
        assert ids(intake, limit=limit) == list(archive.held)


def test_nothing_is_left_out_when_studies_are_deleted_between_two_pages(
    intake: Intake, archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprocessed, "PAGE", 6)
    monkeypatch.setattr(unprocessed, "BACK", 3)
    hold(archive, *(f"s{n}" for n in range(12)))
    first, place = look(intake, ALL, Place(), 5)
    assert [each.source for each in first] == ["s0", "s1", "s2", "s3", "s4"]
    del archive.held["s1"], archive.held["s2"]
    assert place
    assert [each.source for each in look(intake, ALL, place, 100)[0]] == [f"s{n}" for n in range(5, 12)]
    del archive.held["s4"]
    again = [each.source for each in look(intake, ALL, place, 100)[0]]
    assert again[-7:] == [f"s{n}" for n in range(5, 12)]  # those before it may come twice


def test_only_what_has_arrived_since_is_listed(intake: Intake, archive: FakeArchive) -> None:
    hold(archive, "old", last_update="20261101T075959")
    hold(archive, "young", last_update="20261101T080000")
    assert ids(intake, Wanted(since="20261101T080000")) == ["young"]


def test_a_project_has_what_it_would_take(new_intake: Callable[..., Intake], archive: FakeArchive) -> None:
    projects = ({"name": "mr", "match": {"modality": ("MR",)}}, {"name": "rest"})
    intake = new_intake(projects=projects)
    hold(archive, "a", "b")
    hold(archive, "c", "d", modality="MR")
    intake.ledger.add("b", "mr")
    assert ids(intake, Wanted(project="mr")) == ["b", "c", "d"]
    assert ids(intake, Wanted(project="rest")) == ["a"]


def test_a_slow_archive_is_answered_in_parts(
    intake: Intake, archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprocessed, "PAGE", 4)
    monkeypatch.setattr(unprocessed, "BACK", 2)
    monkeypatch.setattr(unprocessed, "SECONDS", 0.0)
    hold(archive, *(f"s{n}" for n in range(10)))
    for name in list(archive.held)[:8]:
        intake.ledger.add(name, "", status=states.IGNORED)
    found, place = look(intake, ALL, Place(), 100)
    assert (found, str(place)) == ([], "4-s3")
    assert ids(intake) == ["s8", "s9"]


class Vast(FakeArchive):
    """100,000 studies that are made when they are asked for."""

    def study_page(self, since: int, limit: int) -> list[dict[str, Any]]:
        return [
            {"ID": identifier(n), "LastUpdate": "20261121T080000", "IsStable": True}
            for n in range(since, min(since + limit, 100_000))
        ]


def identifier(number: int) -> str:
    return f"{number:08x}" + 4 * "-0123abcd"


def test_an_archive_of_100000_studies_takes_little_memory_and_time(intake: Intake) -> None:
    row = {"project": "default", "created_at": 0.0, "updated_at": 0.0}
    row |= dict.fromkeys(("version", "verified_version", "run", "attempt", "recheck"), 0)
    with intake.ledger.engine.begin() as connection:
        for begin in range(0, 100_000, 10_000):  # every second one is done
            rows = [row | {"source": identifier(n), "status": "done"} for n in range(begin, begin + 10_000, 2)]
            connection.execute(insert(study), rows)
    vast = replace(intake, orthanc=cast("Orthanc", Vast()))
    began = time.monotonic()
    assert sum(1 for _ in walk(vast, ALL, 1000)) == 50_000
    seconds = time.monotonic() - began
    tracemalloc.start()
    try:
        some = walk(vast, ALL, 1000)
        assert sum(1 for _ in zip(range(10_000), some, strict=False)) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20
    assert seconds < 60  # 4 s on a quiet machine
