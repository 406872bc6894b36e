"""Who gets which pseudonym through crosswalk and source, where something else happens meanwhile or was before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.aliases import Aliases
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known, Mapped
from orthanc_deid.database.crosswalk_tables import STUDY
from orthanc_deid.database.crosswalk_views import CrosswalkViews, Question
from orthanc_deid.database.erasure import Erasure, Traces
from orthanc_deid.database.imports import Offered, take
from orthanc_deid.errors import Rejected, Stale
from orthanc_deid.keyring import Keyring
from orthanc_deid.pseudonymization import Asked, Given, Missing
from orthanc_deid.pseudonymization.preview import Question as Foretold
from orthanc_deid.pseudonymization.preview import foresee
from orthanc_deid.pseudonymization.pseudonymizer import Pseudonymizer
from orthanc_deid.settings import Configuration

UID, OUTPUT = "1.2.3", "2.25.9"
FORMER, PRESENT = Identity("", "MRN-1"), Identity("", "MRN-2")


@dataclass
class Source:
    """Calls a patient by a table, and remembers for whom it was asked."""

    table: dict[str, Given]
    steady: bool = False
    per_study: bool = False
    asked: list[str] = field(default_factory=list)

    def give(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        self.asked += [each.patient.patient_id for each in asked]
        return [self.table.get(each.patient.patient_id, Missing("not listed")) for each in asked]

    preview = give


class Trial:
    """A project of one kind of pseudonyms on a database."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.crosswalk = Crosswalk(engine, Keyring(folder, {"ORTHANC_DEID_KEY": "5a" * 32}))

    def of(self, source: Source | None = None, **pseudonyms: Any) -> Pseudonymizer:  # noqa: ANN401  # as in YAML
        project = {"name": "trial", "pseudonyms": pseudonyms or {"kind": "derived"}}
        configuration = Configuration.model_validate({"projects": [project]}, strict=False)
        made = Pseudonymizer(configuration, self.crosswalk, self.folder)
        if source:
            made._sources["trial"] = source  # noqa: SLF001  # which no setting makes
        return made

    def join(self) -> None:
        with self.crosswalk.writing("trial"):
            pass  # the project is there
        Aliases(self.crosswalk).join("trial", FORMER, PRESENT, "ada")

    def forget(self, patient_id: str) -> None:
        erasure = Erasure(self.crosswalk)
        erasure.forget(erasure.person("trial", patient_id=patient_id), Traces(), "ada")


@pytest.fixture
def trial(database_url: str, tmp_path: Path) -> Iterator[Trial]:
    engine = open_database(database_url, bytes(32))
    migrate(engine)
    yield Trial(engine, tmp_path)
    engine.dispose()


def asked(patient_id: str = "MRN-1", **values: str) -> Asked:
    return Asked(Patient("", patient_id), lambda name: values.get(name, ""))


def test_nobody_gets_a_number_that_is_his_own_patient_id(trial: Trial) -> None:
    made = trial.of(kind="sequence")
    for _again in range(2):
        assert made.name("trial", asked("p0001"), (UID, OUTPUT)).pseudonym == "P0002"
    assert made.name("trial", asked("other"), ("1.2.4", "2.25.8")).pseudonym == "P0003"


def test_a_pseudonym_that_is_the_patient_id_is_refused_whoever_gave_it(trial: Trial) -> None:
    trial.crosswalk.assign("trial", Known(0, PRESENT, "mrn-1"))
    trial.join()
    for _again in range(2):
        with pytest.raises(Rejected, match="PatientID itself"):
            trial.of().name("trial", asked("MRN-1"), (UID, OUTPUT))


def test_a_source_is_asked_for_the_present_identity_also_the_first_time(trial: Trial) -> None:
    trial.join()
    source = Source({"MRN-1": Given("OLD"), "MRN-2": Given("NEW")})
    made = trial.of(source)
    (foreseen,) = foresee(made, "trial", [Foretold(asked("MRN-1"), UID)])
    assert foreseen.pseudonym == "NEW"
    assert made.name("trial", asked("MRN-1"), (UID, OUTPUT)).pseudonym == "NEW"
    assert made.name("trial", asked("MRN-2"), ("1.2.4", "2.25.8")).pseudonym == "NEW"
    assert set(source.asked) == {"MRN-2"}


def test_a_former_number_is_no_pseudonym_either(trial: Trial) -> None:
    trial.join()
    made = trial.of(Source({"MRN-2": Given("MRN-1")}))
    with pytest.raises(Rejected, match="PatientID itself"):
        made.name("trial", asked("MRN-1"), (UID, OUTPUT))
    assert made.known("trial", Patient("", "MRN-2")) is None


def test_what_was_about_to_be_noted_of_who_was_forgotten_is_not_noted_as_the_next_patients(trial: Trial) -> None:
    made = trial.of()
    known = made.name("trial", asked("MRN-1"), (UID, OUTPUT))
    trial.forget("MRN-1")
    trial.crosswalk.assign("trial", Known(0, PRESENT, "P2"))  # SQLite gives his number to the next
    with pytest.raises(Rejected, match="forgotten"):
        trial.crosswalk.note("trial", known, [Mapped(STUDY, "1.2.5", "2.25.5")])
    assert not trial.crosswalk.has("trial", STUDY, "1.2.5")


@pytest.mark.parametrize("kind", ["derived", "sequence", "listed"])
def test_a_step_that_was_stopped_gives_nobody_a_pseudonym(trial: Trial, kind: str) -> None:
    made = trial.of(kind="sequence") if kind == "sequence" else trial.of()

    def over(_connection: Connection) -> None:
        raise Stale("run 1 is over")

    with pytest.raises(Stale):
        made.name("trial", replace(asked(), still=over), (UID, OUTPUT), "L1" if kind == "listed" else "")
    assert made.known("trial", asked().patient) is None
    made.name("trial", asked(), (UID, OUTPUT))
    with pytest.raises(Stale):
        made.name("trial", replace(asked(), still=over), ("1.2.4", "2.25.8"))
    with pytest.raises(Stale):
        made.note("trial", asked().patient, [Mapped(STUDY, "1.2.5", "2.25.5")], over)
    assert not trial.crosswalk.has("trial", STUDY, "1.2.4")
    assert not trial.crosswalk.has("trial", STUDY, "1.2.5")


def test_the_second_of_two_patients_of_one_study_uid_gets_his_own_labels(trial: Trial) -> None:
    source = Source(
        {"A": Given("PA", session="first"), "B": Given("PB", session="second")}, steady=True, per_study=True
    )
    made = trial.of(source)
    made.name("trial", asked("B"), ("1.2.4", "2.25.8"))
    made.name("trial", asked("A"), (UID, OUTPUT))
    made.name("trial", asked("B"), (UID, OUTPUT))
    assert trial.crosswalk.labels("trial", "PB", output=OUTPUT) == ("", "second")


def found(trial: Trial, value: str, *, original: bool) -> set[tuple[str, str]]:
    views = CrosswalkViews(trial.engine, trial.crosswalk.keyring)
    return {(each.original, each.replaced) for each in views.lookup("trial", Question([value], original, [STUDY]))}


def test_a_study_that_another_system_has_named_is_found_by_both_names(trial: Trial) -> None:
    offered = [
        Offered(1, FORMER, "X1"),
        Offered(2, FORMER, "X1", mapped=Mapped(STUDY, UID, "9.8.7")),
    ]
    take(trial.crosswalk, "trial", offered, actor="ada")
    source = Source({"MRN-1": Given("X1", session="day-1")}, steady=True, per_study=True)
    made = trial.of(source)
    for _again in range(2):
        made.name("trial", asked("MRN-1"), (UID, OUTPUT))
    assert source.asked == ["MRN-1"], "once, for its label"
    assert found(trial, "9.8.7", original=False) == {(UID, "9.8.7")}
    assert found(trial, OUTPUT, original=False) == {(UID, OUTPUT)}
    assert found(trial, UID, original=True) == {(UID, "9.8.7"), (UID, OUTPUT)}
    assert trial.crosswalk.labels("trial", "X1", output=OUTPUT) == ("", "day-1")
    assert trial.crosswalk.labels("trial", "X1", source=UID) == ("", "day-1")
    again = take(trial.crosswalk, "trial", offered, actor="ada")
    assert (again.values_known, again.values_new, again.conflicts) == (1, 0, [])
    trial.forget("MRN-1")
    for value, original in ((UID, True), (OUTPUT, False), ("9.8.7", False)):
        assert found(trial, value, original=original) == set()
