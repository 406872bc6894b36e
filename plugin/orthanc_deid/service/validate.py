"""What studies would be called, and which are missing something, before anything runs."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..confidentiality.pseudonyms import Patient
from ..database.audit import record
from ..database.origins import Origin
from ..database.studies import Study
from ..destinations.flywheel.diagnosis import project_of
from ..errors import ConfigurationError, Conflict, NotFound, Rejected
from ..formats.session_labels import LabelRules, age_days
from ..intake import projects
from ..intake.belonging import Belonging
from ..intake.examine import NO_PROJECT, belonging_of
from ..intake.unprocessed import Place, Wanted, look
from ..pseudonymization import Asked
from ..pseudonymization.preview import NEXT, Foreseen, Question, foresee
from ..pseudonymization.reading import of_orthanc
from ..settings import Flywheel
from ..steps.subject import assigned
from . import reasons
from .access import REIDENTIFY, demand_role
from .parameters import Held, User
from .retrospective import CURSOR
from .runtime import Runtime

AT_ONCE = 4  # studies that Orthanc is asked about side by side
_AGES = ("PatientBirthDate", "StudyDate", "PatientAge")
_NO_PATIENT = "PatientID (0010,0020) is empty"
_GONE = "it is not in this Orthanc"
_ARRIVED = "it was de-identified before it was stored"
_RESULT = "it is the result of a de-identification"


class ValidateWanted(BaseModel):
    """Which studies are looked at, and whether their patients are named."""

    model_config = ConfigDict(extra="forbid")

    studies: list[Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")]] | None = Field(
        default=None, min_length=1, max_length=500, description="Orthanc ids; without: all that are not processed yet"
    )
    project: str | None = Field(default=None, description="only what this project has or would take")
    limit: int = Field(default=100, ge=1, le=500, description="most studies in the answer, where none are given")
    cursor: str | None = Field(default=None, pattern=CURSOR, description="`next` of the page before")
    identified: bool = Field(
        default=False, description="tell PatientID and AccessionNumber as well: for the role reidentify, and recorded"
    )
    reason: str = Field(default="", max_length=reasons.MOST, description="why they are wanted; recorded, encrypted")

    @model_validator(mode="after")
    def _with_reason(self) -> "ValidateWanted":
        if self.identified and not self.reason.strip():
            raise ValueError("identified needs a reason")
        return self


class MissingAnswer(BaseModel):
    """Something that a study does not have."""

    what: str = Field(description="project, subject, session or diagnosis")
    reason: str = Field(description="why not, and how it is mended")


class ValidatedStudy(BaseModel):
    """One study in one project."""

    source: str = Field(description="Orthanc id of the study")
    project: str | None = Field(description="that takes it; null: none")
    why: str = Field(description="by which rule")
    pseudonym: str = Field(description="of the patient; with a + where the next number is given; empty: missing")
    subject: str = Field(description="label of the subject")
    session: str = Field(description="label of the session; empty: its date, which is known when it is de-identified")
    given: bool = Field(description="the patient has the pseudonym already")
    diagnosis_project: str | None = Field(default=None, description="project on Flywheel by the patient's diagnosis")
    missing: list[MissingAnswer] = Field(description="without it the study is ignored, quarantined or not delivered")
    mrn: str | None = Field(default=None, description="PatientID; null: not asked for")
    accession_num: str | None = Field(default=None, description="AccessionNumber; null: not asked for")


class ValidatedPage(BaseModel):
    """Studies, one entry for each project of a study."""

    items: list[ValidatedStudy] = Field(description="may be none although there is a next page")
    next: str | None = Field(description="give it as `cursor` to get the next page; null: this is the last")


@dataclass(frozen=True, repr=False)
class _Place:
    """A project of a study, by which rule, and what a list says of the study there."""

    project: str
    why: str
    origin: Origin


@dataclass(frozen=True, repr=False)
class _Entry:
    """A study in a project, and what is known of it before its project's source is asked."""

    source: str
    project: str | None
    why: str
    question: Question | None = None
    missing: tuple[str, str] | None = None  # what, and why

    @property
    def identity(self) -> tuple[str, str]:
        """PatientID and AccessionNumber."""
        if self.question is None:
            return "", ""
        return self.question.asked.patient.patient_id, self.question.asked.read("AccessionNumber")


def validate_studies(runtime: Held, wanted: ValidateWanted, user: User) -> Any:
    """Tell which project, subject and session studies would get, and what is missing; nothing is made or given.

    Without `studies` the whole archive is walked; an answer can be empty and have a `next`.
    """
    known = [each.name for each in runtime.settings.configuration.projects]
    if wanted.project is not None and wanted.project not in known:
        message = f"no project is called so (known: {', '.join(known)})"
        raise RequestValidationError([{"loc": ("body", "project"), "msg": message}])
    if wanted.identified:
        demand_role(runtime, user, REIDENTIFY)
        reasons.demand(wanted.reason)
    studies, after = _studies(runtime, wanted)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [each for some in pool.map(lambda source: _entries(runtime, source), studies) for each in some]
    entries = [each for each in found if wanted.project in (None, each.project)]
    told = _foreseen(runtime, entries)
    if wanted.identified:
        _record(runtime, user, wanted.reason, entries)
    items = [_told(runtime, each, one, identified=wanted.identified) for each, one in zip(entries, told, strict=True)]
    return {"items": items, "next": after}


def _record(runtime: Runtime, user: str, reason: str, entries: Sequence[_Entry]) -> None:
    """Record whose patients are named, before anybody gets the answer; a reason goes with its project's key."""
    counts = Counter(
        None if each.project is None or runtime.keyring.is_sealed(each.project) else each.project for each in entries
    )
    with runtime.database.begin() as connection:
        for project, count in counts.items():
            sealed = reasons.close(runtime.keyring, reason, project)
            record(connection, "looked-up", actor=user, project=project, thing="validate", asked=count, **sealed)


def _studies(runtime: Runtime, wanted: ValidateWanted) -> tuple[Sequence[str], str | None]:
    if wanted.studies is not None:
        return list(dict.fromkeys(wanted.studies)), None
    found, after = look(runtime.intake, Wanted("", wanted.project or ""), Place.of(wanted.cursor), wanted.limit)
    return [each.source for each in found], None if after is None else str(after)


def _entries(runtime: Runtime, asked_for: str) -> list[_Entry]:
    """Find a study's projects, and read what their sources of pseudonyms are asked with."""

    def nobody(why: str) -> list[_Entry]:
        return [_Entry(asked_for, None, "", missing=("project", why))]

    if runtime.ledger.is_output(asked_for):
        return nobody(_RESULT)
    row = runtime.ledger.find(asked_for)
    if row and row.arrived:
        return nobody(_ARRIVED)
    source = row.source if row else asked_for
    try:
        belonging = belonging_of(runtime.intake, source)
        places = _places(runtime, belonging, row)
        read = of_orthanc(runtime.orthanc, _first(runtime, source))
    except NotFound:
        return nobody(_GONE)
    except (Conflict, ConfigurationError) as error:  # a list cannot be read; its project is not named any more
        return nobody(str(error))
    patient = Patient(read("IssuerOfPatientID"), belonging.patient_id.strip())
    asked = Asked(patient, read)
    found = [_entry(runtime, asked_for, each, asked, belonging.study_uid.strip()) for each in places]
    return found or nobody(NO_PROJECT)


def _places(runtime: Runtime, belonging: Belonging, row: Study | None) -> list[_Place]:
    """Return the projects that a study is in or would be in: its own, and the further ones."""
    if row and row.is_further:
        return [_further(runtime, belonging, row)]
    decision = belonging.decision_of(row) if row else belonging.decide()
    own = decision.project.name if decision else ""
    found = [_Place(own, decision.why, belonging.origin)] if decision else []
    others = [each.name for each in runtime.settings.configuration.projects if each.name != own]
    listed = (
        {
            each.project: each
            for each in runtime.intake.origins.further(belonging.study_uid, belonging.patient_id, others)
        }
        if others
        else {}
    )
    found += [_Place(name, "named by a list", origin) for name, origin in listed.items()]
    also = decision.project.also if decision else ()
    found += [_Place(name, f"also of {own}", Origin()) for name in also if name not in listed]
    left = set(others) - {each.project for each in found}
    here = runtime.ledger.further(row.source) if row else ()
    return found + [_further(runtime, belonging, each) for each in here if each.project in left]


def _further(runtime: Runtime, belonging: Belonging, row: Study) -> _Place:
    """Return the project of a further row; ConfigurationError where the configuration no longer names it."""
    name = runtime.settings.configuration.project(row.project).name
    return _Place(name, "as a further project", projects.origin_of(belonging, runtime.intake.origins, row))


def _entry(runtime: Runtime, source: str, place: _Place, asked: Asked, uid: str) -> _Entry:
    missing = None
    pseudonym = ""
    try:
        pseudonym = assigned(place.origin, asked.patient.patient_id)
    except Rejected as error:
        missing = "subject", str(error)
    if not asked.patient.patient_id:
        missing = "subject", _NO_PATIENT
    if runtime.keyring.is_sealed(place.project):
        missing = "project", projects.SEALED.format(place.project)
    return _Entry(source, place.project, place.why, Question(asked, uid, pseudonym), missing)


def _first(runtime: Runtime, source: str) -> str:
    """Return the instance that the pipeline would read: the first that ever came and is there still."""
    present = runtime.orthanc.instance_ids(source)
    row = runtime.ledger.find(source)
    there = set(present)
    known = [each.source for each in runtime.ledger.instances(row.id) if each.source in there] if row else []
    for instance in known or present:
        return instance
    raise NotFound("the study has no instances")


def _foreseen(runtime: Runtime, entries: Sequence[_Entry]) -> list[Foreseen]:
    """Ask for all studies of a project at once: a source of pseudonyms may be far away."""
    found: dict[int, Foreseen] = {}
    for project in dict.fromkeys(each.project for each in entries):
        mine = [n for n, each in enumerate(entries) if each.project == project and not each.missing]
        questions = [question for n in mine if (question := entries[n].question)]
        if project and questions:
            found |= dict(zip(mine, foresee(runtime.pseudonymizer, project, questions), strict=True))
    return [found.get(n, Foreseen()) for n in range(len(entries))]


def _told(runtime: Runtime, entry: _Entry, foreseen: Foreseen, *, identified: bool) -> dict[str, object]:
    missing = [entry.missing] if entry.missing else []
    missing += [
        (what, why) for what, why in (("subject", foreseen.no_subject), ("session", foreseen.no_session)) if why
    ]
    diagnosis, no_diagnosis = _diagnosis(runtime, entry, foreseen)
    missing += [("diagnosis", no_diagnosis)] if no_diagnosis else []
    mrn, accession = entry.identity if identified else (None, None)
    return {
        "source": entry.source, "project": entry.project, "why": entry.why, "pseudonym": foreseen.pseudonym,
        "subject": foreseen.subject, "session": foreseen.session, "given": foreseen.is_given,
        "diagnosis_project": diagnosis, "missing": [{"what": what, "reason": why} for what, why in missing],
        "mrn": mrn, "accession_num": accession,
    }  # fmt: skip


def _diagnosis(runtime: Runtime, entry: _Entry, foreseen: Foreseen) -> tuple[str | None, str]:
    """Return the project on Flywheel, or why it cannot be told; neither where no destination goes by diagnoses."""
    if not entry.project or not entry.question or not foreseen.pseudonym or NEXT in foreseen.pseudonym:
        return None, ""
    configuration = runtime.settings.configuration
    for name in configuration.project(entry.project).destinations:
        settings = configuration.destination(name)
        if isinstance(settings, Flywheel) and settings.diagnoses:
            try:
                return project_of(settings.diagnoses, foreseen.pseudonym, _age(entry.question.asked)), ""
            except (Rejected, ConfigurationError) as error:
                return None, str(error)
    return None, ""


def _age(asked: Asked) -> float | None:
    """Return the age in days, which is the same after dates were moved."""
    try:
        return float(age_days({name: asked.read(name) for name in _AGES}, LabelRules((), ()))[0])
    except Rejected:
        return None
