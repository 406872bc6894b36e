"""Routes that cut ties: forget a patient, seal a project; and one that joins identities of a merged patient."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import Response

from .. import log
from ..batches import question
from ..batches.question import Question
from ..database.aliases import Aliases
from ..database.crosswalk import Identity
from ..database.crosswalk_views import CrosswalkViews
from ..database.erasure import Erasure, Person, Traces
from ..database.sealing import Sealing
from ..errors import Conflict, DeidError, NotFound
from ..intake.take_up import forget
from ..pipeline import DEIDENTIFY, Job
from ..states import ACTIVE
from ..steps.subject import orthanc_id
from . import reasons
from .access import REIDENTIFY, demand_role
from .forgotten import remove_conversions
from .models.crosswalk import AliasWanted, ForgetWanted, SealWanted
from .parameters import Held, User
from .runtime import Runtime

PAUSE_S = 2.0  # in which a step that was stopped comes to its next look at the ledger
SEAL_S = 40.0  # below the time-out of the plugin's route
ISSUER = "0010,0021"
REMAINS_OF_PATIENT = (
    "results at destinations and in this Orthanc (`outputs`): delete them there",
    "the identified studies in this Orthanc (`sources`) and in its quarantine: delete them there",
    "backups of the database and of the folder keys that were made before",
    (
        "with pseudonyms of kind derived: whoever has the project's key and the PatientID can make the pseudonym"
        " again, and so does a study of the patient that comes later; sealing the project ends that"
    ),
)
REMAINS_OF_PROJECT = (
    "backups of the folder keys: with one, and the master key, older backups of the database open; destroy them",
    (
        "the identified studies and the results in this Orthanc, and results at destinations: who has both can compare"
        " their pixels"
    ),
    "key material in the memory of running processes: restart Orthanc",
    "mappings that were exported, and lists that pseudonyms came from",
)


def forget_patient(runtime: Held, wanted: ForgetWanted, user: User) -> Any:
    """Erase a patient from a project: his mapping goes, his studies are marked. Needs the role reidentify."""
    demand_role(runtime, user, REIDENTIFY)
    reason = reasons.demand(wanted.reason, [value for value in (wanted.patient_id, wanted.pseudonym) if value])
    erasure = Erasure(runtime.crosswalk)
    runtime.take_up()  # else it would be noted after the erasure
    person = erasure.person(
        wanted.project, pseudonym=wanted.pseudonym or "", patient_id=wanted.patient_id or "", issuer=wanted.issuer
    )
    traces = _traces(runtime, person)
    outputs = [str(row.output) for row in erasure.rows(person.project, traces) if row.output]
    if not wanted.dry_run:
        _stop(runtime, erasure, person, traces, user)
    sealed = reasons.close(runtime.keyring, reason, person.project)
    erased = erasure.forget(person, traces, user, dry_run=wanted.dry_run, **sealed)
    if not wanted.dry_run:
        with runtime.taking_up:
            forget(runtime.arrived, person.project, {each.normal for each in person.identities})
    conversions = remove_conversions(runtime.settings.results, runtime.database, erased.studies, dry_run=wanted.dry_run)
    log.event("patient forgotten", project=person.project, count=len(erased.studies))
    return {
        "project": person.project, "dry_run": wanted.dry_run, "mappings": erased.mappings, "aliases": erased.aliases,
        "batch_rows": erased.batch_rows, "conversions": conversions, "studies": erased.studies,
        "sources": _here(runtime, traces.sources), "outputs": _here(runtime, {*outputs, *traces.outputs}),
        "remains": REMAINS_OF_PATIENT,
    }  # fmt: skip


def seal_project(runtime: Held, wanted: SealWanted, user: User, response: Response) -> Any:
    """Cut a project off for ever: its key and mappings are destroyed. Needs the role reidentify.

    202: not all is gone yet, ask once more.
    """
    demand_role(runtime, user, REIDENTIFY)
    reason = reasons.demand(wanted.reason)
    project = wanted.project
    if wanted.confirm != project:
        raise Conflict("confirm: it is not the project's name: nothing was sealed")
    if runtime.settings.configuration.intake.on_arrival and project in _configured(runtime):
        raise Conflict(
            "with intake.on_arrival the door holds the project's key: take the project out of deid.yaml and restart"
        )
    sealing = Sealing(runtime.database, runtime.keyring, project, lambda query, of: _is_of(runtime, query, of, project))
    sealing.close(user, **reasons.close(runtime.keyring, reason, None))
    for study in runtime.ledger.in_states(ACTIVE):
        if study.project == project:
            _cancel(runtime, study.id, study.version, study.run, user)
    sealing.destroy_key()
    complete = sealing.erase(user, SEAL_S)
    if complete:
        remove_conversions(runtime.settings.results, runtime.database)
        sealing.end(user)
        log.event("project sealed", project=project)
    response.status_code = 200 if complete else 202
    state = sealing.state()
    return {
        "project": project, "complete": complete, "key": state.key, "rows": state.rows, "aliases": state.aliases,
        "studies": state.studies, "unreadable": _is_unreadable(runtime, project), "remains": REMAINS_OF_PROJECT,
    }  # fmt: skip


def join_identities(runtime: Held, wanted: AliasWanted, user: User) -> Any:
    """Have a former identity stand for the present one of a merged patient. Needs the role reidentify."""
    demand_role(runtime, user, REIDENTIFY)
    reason = reasons.demand(wanted.reason, [wanted.old, wanted.new])
    views = CrosswalkViews(runtime.database, runtime.keyring)
    projects, unread = ([wanted.project], []) if wanted.project else views.readable()
    if not projects:
        raise NotFound("the crosswalk holds no project whose key is here")
    former, present = Identity(wanted.old_issuer, wanted.old), Identity(wanted.issuer, wanted.new)
    items = []
    for project in projects:
        sealed = reasons.close(runtime.keyring, reason, project)
        joined = Aliases(runtime.crosswalk).join(project, former, present, user, **sealed)
        outputs = {orthanc_id(pseudonym, after) for _, after, pseudonym in joined.studies}
        rows = Erasure(runtime.crosswalk).rows(project, Traces(outputs=outputs))
        items.append(
            {
                "project": project,
                "is_new": joined.is_new,
                "studies": [row.id for row in rows if not row.forgotten],
                "unknown": len(joined.studies) - len(rows),
            }
        )
    return {"items": items, "unread": unread}


def _traces(runtime: Runtime, person: Person) -> Traces:
    """Return by what else a patient is found, what waits in Orthanc included."""
    ids = [each.patient_id for each in person.identities]
    sources = {orthanc_id(patient_id.strip(), before) for patient_id in ids for before, _, _ in person.studies}
    sources |= _waiting(runtime, person)
    uids = [before for before, _, _ in person.studies]
    fetched = [question.digest(runtime.seal, uid, series) for uid in uids for series in ("", *person.series)]
    sent = [
        digest
        for uid in uids
        for patient_id in ids
        for digest in runtime.origins.digests(uid, patient_id, person.project)
    ]
    outputs = {orthanc_id(pseudonym, after) for _, after, pseudonym in person.studies}
    return Traces(sources, outputs, {*sent}, {*fetched})


def _waiting(runtime: Runtime, person: Person) -> set[str]:
    """Return the studies of his that this Orthanc holds, those that nobody has given a pseudonym yet included."""
    normals = {each.normal for each in person.identities}
    found = set()
    for identity in person.identities:
        try:
            studies = runtime.orthanc.get(f"/patients/{orthanc_id(identity.patient_id.strip())}")["Studies"]
        except NotFound:
            continue
        for study in studies:
            instances = runtime.orthanc.instance_ids(study)
            issuer = runtime.orthanc.tags(instances[0]).get(ISSUER, {}).get("Value") if instances else None
            if Identity(str(issuer or ""), identity.patient_id).normal in normals:
                found.add(str(study))
    return found


def _stop(runtime: Runtime, erasure: Erasure, person: Person, traces: Traces, actor: str) -> None:
    """Stop what is at work; what a step was about to note must not come after the erasure."""
    busy = [row for row in erasure.rows(person.project, traces) if row.status in ACTIVE]
    for row in busy:
        _cancel(runtime, row.id, row.version, row.run, actor)
    if busy:
        time.sleep(PAUSE_S)


def _cancel(runtime: Runtime, study: int, version: int, run: int, actor: str) -> None:
    runtime.ledger.cancel(study, actor)
    runtime.queue.cancel(Job(DEIDENTIFY, study, version, run).prefix)


def _here(runtime: Runtime, ids: Iterable[str]) -> list[str]:
    """Return those studies that this Orthanc holds."""
    found = []
    for each in sorted(ids):
        try:
            runtime.orthanc.study(each)
        except NotFound:
            continue
        found.append(each)
    return found


def _configured(runtime: Runtime) -> Sequence[str]:
    return [project.name for project in runtime.settings.configuration.projects]


def _is_of(runtime: Runtime, query: bytes, of_batch: str, project: str) -> bool:
    """Tell whether a row of a list is of a project."""
    return (str(Question(**runtime.seal.open(query)).project) or of_batch) == project


def _is_unreadable(runtime: Runtime, project: str) -> bool:
    """Try to read: with the key gone nothing opens."""
    try:
        CrosswalkViews(runtime.database, runtime.keyring).page(project, (1,), 0, 1)
        runtime.keyring.project(project)
    except DeidError:
        return True
    return False
