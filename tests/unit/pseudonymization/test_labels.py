"""Labels of subjects and sessions: given by a source or a template, kept with the study, found by its output."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk
from orthanc_deid.errors import NotFound, Rejected
from orthanc_deid.formats.labels import NONE, Labels
from orthanc_deid.formats.session_labels import LabelRules
from orthanc_deid.keyring import Keyring
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.pseudonymization import Asked, Given, Missing
from orthanc_deid.pseudonymization.labels import of_project
from orthanc_deid.pseudonymization.preview import Foreseen, Question, foresee
from orthanc_deid.pseudonymization.pseudonymizer import Pseudonymizer
from orthanc_deid.pseudonymization.reading import Reading
from orthanc_deid.pseudonymization.sessions import birth_date
from orthanc_deid.settings import Configuration
from orthanc_deid.settings.etl import Session

STUDY = {
    "PatientName": "Zyxwvut^Qponmlk", "PatientBirthDate": "20100101", "StudyDate": "20130519", "StudyTime": "091512",
    "StudyDescription": "MR Brain of Zyxwvut", "AccessionNumber": "ACC-550001", "Modality": "MR",
}  # fmt: skip
UID, OUTPUT = "1.2.3", "2.25.9"
RULES = LabelRules((), ())


@dataclass
class Source:
    """A source that says what a test wants, and counts how often it is asked."""

    given: Given | Missing = field(default_factory=lambda: Given("P1"))
    steady: bool = True
    per_study: bool = False
    asked: int = 0

    def give(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        self.asked += 1
        return [self.given for _ in asked]

    def preview(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        return self.give(asked)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(f"sqlite:///{tmp_path / 'deid.sqlite'}") as made:
        yield made


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    made = open_database(url, bytes(32))
    migrate(made)
    yield made
    made.dispose()


class Trial:
    """A project of one source."""

    def __init__(self, engine: Engine, folder: Path, session: Mapping[str, Any] | None = None) -> None:
        project = {"name": "trial"} | ({"session": dict(session)} if session is not None else {})
        configuration = Configuration.model_validate({"projects": [project]}, strict=False)
        self.crosswalk = Crosswalk(engine, Keyring(folder, {"ORTHANC_DEID_KEY": "5a" * 32}))
        self.pseudonymizer = Pseudonymizer(configuration, self.crosswalk, folder)
        self.source = Source()
        self.pseudonymizer._sources["trial"] = self.source  # noqa: SLF001  # which no setting makes

    def name(self, uid: str = UID, output: str = OUTPUT, listed: str = "", **values: str) -> None:
        self.pseudonymizer.name("trial", asked(**values), (uid, output), listed)

    def labels(self, output: str = OUTPUT, pseudonym: str = "P1") -> Labels:
        facts = {"PatientMainDicomTags": {"PatientID": pseudonym}, "MainDicomTags": {"StudyInstanceUID": output}}
        return of_project(self.crosswalk, "trial")(facts)

    def foresee(self, uid: str = UID, listed: str = "", **values: str) -> Foreseen:
        (found,) = foresee(self.pseudonymizer, "trial", [Question(asked(**values), uid, listed)])
        return found


@pytest.fixture
def trial(engine: Engine, tmp_path: Path) -> Trial:
    return Trial(engine, tmp_path)


@pytest.fixture
def labelled(engine: Engine, tmp_path: Path) -> Trial:
    return Trial(engine, tmp_path, {"required": True})


def asked(patient_id: str = "MRN-770001", **values: str) -> Asked:
    told = STUDY | values
    return Asked(Patient("", patient_id), lambda name: told.get(name, ""))


def test_labels_of_a_source_are_found_by_what_the_output_is_called(database_url: str, tmp_path: Path) -> None:
    with opened(database_url) as engine:
        trial = Trial(engine, tmp_path)
        trial.source.given = Given("P1", subject="C100", session="baseline")
        trial.name()
        assert trial.labels() == Labels("C100", "baseline")
        assert trial.labels("2.25.8") == NONE
        assert trial.labels(pseudonym="P2") == NONE


def test_a_source_that_gives_no_label_leaves_none(trial: Trial) -> None:
    trial.name()
    assert trial.labels() == NONE


def test_each_session_of_a_patient_has_its_own_label_and_all_have_his_subject(trial: Trial) -> None:
    trial.source.per_study = True
    trial.source.given = Given("P1", subject="C100", session="one")
    trial.name()
    trial.source.given = replace(trial.source.given, session="two")
    trial.name("1.2.4", "2.25.10")
    assert (trial.labels(), trial.labels("2.25.10")) == (Labels("C100", "one"), Labels("C100", "two"))


def test_of_a_sealed_project_no_label_can_be_read(trial: Trial) -> None:
    trial.source.given = Given("P1", subject="C100")
    trial.name()
    trial.crosswalk.keyring.destroy("trial")
    assert trial.labels() == NONE


@pytest.mark.parametrize(
    "given",
    [
        Given("P1", subject="../up"), Given("P1", subject="a/b"), Given("P1", session="x" * 65),
        Given("P1", session=" qq"), Given("P1", session="a."), Given("P1", session="né"), Given("P1", subject="a\nb"),
    ],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_label_is_refused_with_the_mend_and_not_repeated(trial: Trial, given: Given) -> None:
    trial.source.given = given
    with pytest.raises(Rejected, match="is no label") as error:
        trial.name()
    assert (given.subject or given.session) not in str(error.value)
    assert "is no label" in trial.foresee().no_subject


@pytest.mark.parametrize(
    "label", ["MRN-770001", "mrn-770001", "ACC-550001", "Zyxwvut", "qponmlk", "s_MRN-770001", "b20100101"]
)
def test_a_label_that_tells_who_the_patient_is_is_refused(trial: Trial, label: str) -> None:
    for given in (Given("P1", subject=label), Given("P1", session=label)):
        trial.source.given = given
        with pytest.raises(Rejected, match="tells who the patient is") as error:
            trial.name()
        assert label not in str(error.value)


def test_another_subject_than_the_patient_has_is_refused(trial: Trial) -> None:
    trial.source.steady = False
    trial.source.given = Given("P1", subject="C100")
    trial.name()
    trial.source.given = Given("P1", subject="C101")
    with pytest.raises(Rejected, match="subject"):
        trial.name("1.2.4", "2.25.10")
    assert "subject" in trial.foresee("1.2.4").no_subject


def test_a_session_is_named_by_the_template_from_the_source_study(labelled: Trial) -> None:
    labelled.name()
    assert labelled.labels().session == "1234d_B_brain_09h15m"


def test_a_session_of_the_source_goes_before_the_template(labelled: Trial) -> None:
    labelled.source.given = Given("P1", session="baseline")
    labelled.name()
    assert labelled.labels().session == "baseline"


def test_a_session_keeps_its_label_whatever_changes_later(labelled: Trial) -> None:
    labelled.name()
    labelled.name(StudyDescription="spine")
    assert labelled.labels().session == "1234d_B_brain_09h15m"
    labelled.name(StudyDescription="toe")  # and is not refused for it
    assert labelled.foresee(StudyDescription="toe").session == "1234d_B_brain_09h15m"


def test_a_session_that_cannot_be_named_is_refused_where_it_is_required(labelled: Trial) -> None:
    with pytest.raises(Rejected, match="no description names a part"):
        labelled.name(StudyDescription="toe")
    assert labelled.labels() == NONE
    labelled.name()
    assert labelled.labels().session == "1234d_B_brain_09h15m"


def test_a_session_that_cannot_be_named_gets_the_default_where_it_is_not_required(
    engine: Engine, tmp_path: Path
) -> None:
    trial = Trial(engine, tmp_path, {})
    assert trial.foresee(StudyDescription="toe") == Foreseen("P1", "P1")
    trial.name(StudyDescription="toe")
    assert trial.labels() == NONE


def test_ages_above_89_are_told_as_90_years(labelled: Trial) -> None:
    labelled.name(PatientBirthDate="19200101")
    assert labelled.labels().session == "32850d_B_brain_09h15m"


def test_a_template_can_name_more_and_leave_out_what_is_missing(engine: Engine, tmp_path: Path) -> None:
    trial = Trial(engine, tmp_path, {"template": "{subject}-{Modality}[-{PatientSex}][_{HH}h]"})
    trial.name(PatientSex="female", StudyTime="0")
    assert trial.labels().session == "P1-MR"


@pytest.mark.parametrize(
    "template", ["{StudyDate}", "{StudyDescription}", "x", "{age", "[[{age}]]", "{age}/{parts}", ""]
)
def test_a_template_with_what_no_label_may_hold_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        Session(template=template)


@pytest.mark.parametrize("own", ["", "19010101", "2010"])
def test_a_missing_birth_date_is_looked_for_in_the_list(own: str) -> None:
    study = asked(PatientBirthDate=own)
    assert birth_date(study, Given("P1", birth_date="20090101"), RULES) == "20090101"
    assert birth_date(study, Given("P1", birth_date="19010101"), RULES) == ""


class Archive:
    """Other studies of patients: PatientID, issuer, birth date of each."""

    def __init__(self, *held: tuple[str, str, str]) -> None:
        self.held = held

    def post(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert path == "/tools/find"
        return [
            {"PatientMainDicomTags": {"PatientID": name, "PatientBirthDate": born}, "Series": [str(n)]}
            for n, (name, _, born) in enumerate(self.held)
            if name == body["Query"]["PatientID"]
        ]

    def get(self, path: str) -> dict[str, Any]:
        return {"Instances": [path.rpartition("/")[2]]}

    def tags(self, instance: str) -> dict[str, Any]:
        if int(instance) >= len(self.held):
            raise NotFound("gone")
        return {"0010,0021": {"Name": "IssuerOfPatientID", "Type": "String", "Value": self.held[int(instance)][1]}}


@pytest.mark.parametrize(
    ("held", "born"),
    [
        ([("4711", "", "20100101")], "20100101"),
        ([("00004711", "", "20100101")], "20100101"),
        ([("4711", "", "19010101"), ("00004711", "", "20100101")], "20100101"),
        ([("4711", "", "20100101"), ("4711", "", "20110101")], ""),  # nobody knows which is right
        ([("4711", "ELSEWHERE", "20100101")], ""),  # another patient
        ([("4712", "", "20100101")], ""),
    ],
)
def test_a_missing_birth_date_is_looked_for_in_other_studies_of_the_patient(
    held: list[tuple[str, str, str]], born: str
) -> None:
    read = Reading(cast("Orthanc", Archive(*held)), lambda _: "")
    assert birth_date(Asked(Patient("", "4711"), read), Given("P1"), RULES) == born


def test_nobody_is_looked_for_by_a_number_with_wildcards() -> None:
    read = Reading(cast("Orthanc", None), lambda _: "")
    assert birth_date(Asked(Patient("", "47*"), read), Given("P1"), RULES) == ""


def test_what_is_foreseen_is_what_is_given_and_nothing_is_kept(labelled: Trial) -> None:
    labelled.source.given = Given("P1", subject="C100")
    assert labelled.foresee() == Foreseen("P1", "C100", "1234d_B_brain_09h15m")
    assert labelled.pseudonymizer.known("trial", asked().patient) is None
    assert labelled.labels() == NONE
    labelled.name()
    assert labelled.labels() == Labels("C100", "1234d_B_brain_09h15m")
    assert labelled.foresee() == Foreseen("P1", "C100", "1234d_B_brain_09h15m", is_given=True)
    assert labelled.foresee("1.2.4", StudyTime="") == Foreseen("P1", "C100", "1234d_B_brain", is_given=True)


def test_who_is_missing_is_told_with_the_reason(labelled: Trial) -> None:
    assert labelled.foresee(StudyDescription="toe").no_session.startswith("no label for the session")
    labelled.source.given = Missing("the file does not list the patient")
    assert labelled.foresee() == Foreseen(no_subject="the file does not list the patient")


def test_the_pseudonym_of_a_list_goes_before_the_source(trial: Trial) -> None:
    assert trial.foresee(listed="L1").pseudonym == "L1"
    assert trial.source.asked == 0
    trial.name(listed="L1")
    assert "list gives another" in trial.foresee("1.2.4", listed="L2").no_subject


def test_what_holds_an_identity_does_not_show_it(trial: Trial) -> None:
    assert "MRN" not in repr(Question(asked(), UID)) + repr(trial.foresee())
