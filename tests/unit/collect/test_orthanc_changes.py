"""Two real Orthancs: what is followed is read by a user who may only GET, which its own filter sees to."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from orthanc_deid.collect import orthanc_changes, remote_study
from orthanc_deid.collect.base import Collector, Tools
from orthanc_deid.collect.orthanc_changes import OrthancChanges, Position
from orthanc_deid.database import marks, migrate, open_database
from orthanc_deid.database.collected import REFUSED, TAKEN, Collected, Item
from orthanc_deid.database.intake_tables import collected
from orthanc_deid.database.origins import Origin, Origins
from orthanc_deid.errors import Retriable
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from orthanc_deid.sealed import Seal
from orthanc_deid.settings.sources import OrthancSource
from servers import MAIN, OrthancServer, wait_for
from studies import Person, ct_instance, ct_study

ONLY_GET = """
function IncomingHttpRequestFilter(method, uri, ip, username, headers)
   if username == 'reader' and method ~= 'GET' then print('REFUSED ' .. method) end
   return username ~= 'reader' or method == 'GET'
end
"""
PERSON = Person()
REFUSE = "intake: {refuse: [{name: ct, sop_class: 1.2.840.10008.5.1.4.1.1.2}]}\n"


@pytest.fixture(scope="module")
def orthancs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OrthancServer, OrthancServer]]:
    """Answer the Orthanc that is followed and ours, for all tests of this module."""
    folder = tmp_path_factory.mktemp("orthancs")
    script = folder / "only-get.lua"
    script.write_text(ONLY_GET)
    there = OrthancServer(folder / "there", name="THERE", configuration={"LuaScripts": [str(script)]})
    here = OrthancServer(folder / "here", name="HERE")
    there.users["reader"] = "readers-password"
    with there, here:
        yield there, here


class Pair:
    """A source that is followed, and what is known of it."""

    def __init__(self, there: OrthancServer, here: OrthancServer, folder: Path) -> None:
        self.there, self.here = there, here
        self.password_file = folder / "password"
        self.password_file.write_text("readers-password\n")
        self.database = open_database(f"sqlite:///{folder / 'deid.sqlite'}")
        migrate(self.database)
        seal = Seal(bytes(32))
        self.stopping = threading.Event()
        self.tools = Tools(
            orthanc=Orthanc(Address(here.url, basic("admin", here.password))),
            origins=Origins(self.database, seal),
            collected=Collected(self.database),
            seal=seal,
            work=folder / "work",
            stopping=self.stopping,
            demand_open=lambda: None,
        )

    def collector(self, since: str = "now", **more: Any) -> Collector:  # noqa: ANN401  # keys of the source
        values = {
            "kind": "orthanc",
            "name": "other",
            "url": self.there.url,
            "username": "reader",
            "password_file": str(self.password_file),
            "since": since,
        }
        return OrthancChanges(OrthancSource.model_validate(values | more), self.tools)

    def send(self, files: list[bytes]) -> str:
        return [str(self.there.upload(file).json()["ParentStudy"]) for file in files][-1]

    def send_stable(self, files: list[bytes]) -> str:
        study = self.send(files)
        wait_for(lambda: self._is_stable(study), 10)
        return study

    def _is_stable(self, study: str) -> bool:
        changes = self.there.get("/changes?limit=100000").json()["Changes"]
        last = [c["ChangeType"] for c in changes if c["ID"] == study][-1:]
        return last == ["StableStudy"] and bool(self.there.get(f"/studies/{study}").json()["IsStable"])

    def item(self, study: str) -> Item | None:
        return self.tools.collected.find("other", self.tools.seal.digest(orthanc_changes.KIND, study))

    def study_uid(self, study: str) -> str:
        return str(self.there.get(f"/studies/{study}").json()["MainDicomTags"]["StudyInstanceUID"])

    def origin_of(self, study: str) -> Origin | None:
        patient = self.there.get(f"/studies/{study}").json()["PatientMainDicomTags"]["PatientID"]
        found = self.tools.origins.find(self.study_uid(study), patient)
        return found and replace(found, digest=None)

    def position(self) -> Position:
        return Position.of(self.tools.collected.status("other").position)


@pytest.fixture
def pair(orthancs: tuple[OrthancServer, OrthancServer], tmp_path: Path) -> Iterator[Pair]:
    there, here = orthancs
    made = Pair(there, here, tmp_path)
    yield made
    made.database.dispose()
    for server in orthancs:
        for study in server.studies():
            server.request("DELETE", f"/studies/{study}")
    assert "REFUSED" not in there.log()


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthanc_changes, "QUIET_S", 0.5)
    monkeypatch.setattr(orthanc_changes, "SWEEP_S", 0.0)


def look_until(collector: Collector, condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        collector.look()
        time.sleep(0.1)


def test_what_becomes_stable_from_now_on_is_fetched_once_with_its_origin(pair: Pair) -> None:
    old = pair.send_stable(ct_study(Person(2), 1))
    collector = pair.collector()
    assert not collector.look()
    study = pair.send(ct_study(PERSON, 3))
    collector.look()
    assert pair.here.studies() == []  # not stable yet
    look_until(collector, pair.here.studies)
    assert pair.here.studies() == [study]
    assert sorted(pair.here.instances()) == sorted(set(pair.there.instances()) - set(_instances(pair.there, old)))
    item = pair.item(study)
    assert item
    assert (item.state, item.instances, item.reason) == (TAKEN, 3, None)
    assert pair.origin_of(study) == Origin(source="other")
    assert not collector.look()
    assert not pair.collector().look()  # after a restart
    assert pair.tools.collected.status("other").taken == 1


def _instances(server: OrthancServer, study: str) -> list[str]:
    return [i["ID"] for i in server.get(f"/studies/{study}/instances").json()]


@pytest.mark.usefixtures("quickly")
def test_from_the_beginning_means_all_even_where_the_changes_were_emptied(pair: Pair) -> None:
    studies = [pair.send_stable(ct_study(Person(number), 1)) for number in (3, 4)]
    pair.there.request("DELETE", "/changes")
    look_until(pair.collector("beginning"), lambda: len(pair.here.studies()) == 2)
    assert sorted(pair.here.studies()) == sorted(studies)
    assert not pair.position().sweep


@pytest.mark.usefixtures("quickly")
def test_a_study_whose_event_somebody_deleted_is_found_and_an_old_one_is_not(pair: Pair) -> None:
    pair.send_stable(ct_study(Person(5), 1))
    time.sleep(1.1)  # LastUpdate has whole seconds
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 2))
    pair.there.request("DELETE", "/changes")
    look_until(collector, pair.here.studies)
    assert pair.here.studies() == [study]


def test_late_instances_are_fetched_and_only_these(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 3))
    look_until(collector, pair.here.studies)
    asked: list[str] = []
    real = Orthanc.file

    def file(self: Orthanc, instance: str) -> bytes:
        asked.append(instance)
        return real(self, instance)

    monkeypatch.setattr(Orthanc, "file", file)
    time.sleep(1.1)
    pair.send_stable(ct_study(PERSON, 2, first=4))
    look_until(collector, lambda: len(pair.here.instances()) == 5)
    assert len(asked) == 2
    item = pair.item(study)
    assert item
    assert item.instances == 5


@pytest.mark.usefixtures("quickly")
def test_a_study_whose_orthanc_was_killed_before_it_was_stable_is_taken_when_it_is_quiet(pair: Pair) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send(ct_study(PERSON, 2))
    pair.there.kill()
    with pytest.raises(Retriable):
        collector.look()
    pair.there.start()
    look_until(pair.collector(), pair.here.studies)
    assert pair.here.studies() == [study]


@pytest.mark.usefixtures("quickly")
def test_another_database_under_the_address_is_looked_at_as_a_whole(pair: Pair) -> None:
    pair.tools.collected.save_position("other", str(Position(10**9)))
    study = pair.send_stable(ct_study(PERSON, 1))
    look_until(pair.collector(), pair.here.studies)
    assert pair.here.studies() == [study]
    assert pair.position().sequence < 10**9


@pytest.mark.parametrize("after", [0, 3])
def test_a_kill_after_any_instance_loses_nothing_and_doubles_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 4))
    stored: list[str] = []
    left = [after]
    real = Orthanc.offer

    def offer(self: Orthanc, dicom: bytes) -> Any:  # noqa: ANN401  # Stored
        if len(stored) in left:
            raise Killed
        stored.append("one")
        return real(self, dicom)

    class Killed(BaseException):
        pass

    monkeypatch.setattr(Orthanc, "offer", offer)
    with pytest.raises(Killed):
        look_until(collector, lambda: pair.item(study))
    assert len(pair.here.instances()) == after
    left.clear()
    look_until(pair.collector(), lambda: pair.item(study))
    assert len(pair.here.instances()) == len(stored) == 4


def test_a_large_instance_goes_through_a_file_that_does_not_stay(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_study, "LARGE", 100)
    collector = pair.collector()
    collector.look()
    pair.send_stable(ct_study(PERSON, 2))
    look_until(collector, lambda: len(pair.here.instances()) == 2)
    for instance in pair.here.instances():
        path = f"/instances/{instance}/file"
        assert pair.here.get(path).content == pair.there.get(path).content
    assert list(pair.tools.work.iterdir()) == []


def test_what_a_person_marked_as_processed_is_not_fetched(pair: Pair) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 1))
    marks.mark(pair.database, {study: None}, "ada")
    look_until(collector, lambda: pair.item(study))
    item = pair.item(study)
    assert item
    assert (item.instances, item.reason) == (0, "it is marked as processed")
    assert pair.here.studies() == []


def test_what_a_list_says_of_a_study_stays(pair: Pair) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 1))
    listed = Origin(source="pacs", project="ct", pseudonym="P-7")
    pair.tools.origins.note(pair.study_uid(study), listed)
    look_until(collector, lambda: pair.item(study))
    assert pair.origin_of(study) == listed


def test_nothing_of_a_patient_is_kept_of_what_was_collected(pair: Pair, capfd: pytest.CaptureFixture[str]) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 1))
    look_until(collector, lambda: pair.item(study))
    with pair.database.connect() as connection:
        rows = str(connection.execute(select(collected)).all())
    shown = rows + str(pair.tools.collected.status("other")) + "".join(capfd.readouterr())
    assert [marker for marker in (*PERSON.markers, study) if marker in shown] == []


def with_door(pair: Pair, folder: Path, deid: str) -> OrthancServer:
    """Have ours ask the door; its service runs too, and is not asked for anything."""
    server = OrthancServer(folder / "door", script=MAIN, deid=deid)
    pair.here = server.start()
    object.__setattr__(pair.tools, "orthanc", Orthanc(Address(server.url, basic("admin", server.password))))
    return server


def test_what_the_door_refuses_is_counted_and_asked_for_once(pair: Pair, tmp_path: Path) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 2))
    server = with_door(pair, tmp_path, REFUSE)
    try:
        look_until(collector, lambda: pair.item(study))
        item = pair.item(study)
        assert item
        assert (item.state, item.instances) == (REFUSED, 0)
        assert item.reason == "2 of 2 instances were refused at the door"
        assert pair.tools.collected.status("other").refused == 1
        collector.look()
        assert len(list((server.home / "quarantine" / "incoming").glob("*.dcm"))) == 2
    finally:
        server.kill()


def test_de_identification_on_arrival_gives_other_ids_and_doubles_nothing(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = pair.collector()
    collector.look()
    study = pair.send_stable(ct_study(PERSON, 2))
    server = with_door(pair, tmp_path, "intake: {on_arrival: true}\n")
    try:
        look_until(collector, lambda: pair.item(study))
        assert len(server.instances()) == 2
        assert server.studies() != [study]
        time.sleep(1.1)
        pair.send_stable([ct_instance(PERSON, number=3)])
        look_until(collector, lambda: len(server.instances()) == 3)
        offered: list[Path] = []
        monkeypatch.setattr(Orthanc, "offer", lambda *_: offered.append(tmp_path))
        monkeypatch.setattr(orthanc_changes, "QUIET_S", 0.5)
        item = pair.item(study)
        assert item
        pair.tools.collected.note("other", item.item, "another", TAKEN, instances=3)
        pair.tools.collected.save_position("other", str(replace(pair.position(), sweep=True)))
        look_until(pair.collector(), lambda: pair.item(study) == replace(item, at=pair.item(study).at))  # type: ignore[union-attr]
        assert offered == []
    finally:
        server.kill()
