"""A list names a project that a study is not in: it becomes a further study of that project, the other stays."""

from ..database.batches import Batch, BatchRow
from ..database.ledger import Study
from ..database.origins import Origin
from ..intake.examine import BEFORE
from ..pacs.base import Found
from ..states import IGNORED
from ..steps import Resources
from ..steps.subject import orthanc_id
from . import question

LISTED = "named by a list"


def origin_of(batch: Batch, row: BatchRow, found: Found, resources: Resources) -> Origin:
    """Return what a row says of a study that its archive has found."""
    asked = question.question(resources.seal, row)
    return Origin(
        batch.source, asked.project or batch.project, asked.album, asked.pseudonym, bool(batch.hold),
        patient=found.patient_id, label=batch.label or "",
    )  # fmt: skip


def note(found: Found, said: Origin, orthanc: str | None, resources: Resources) -> None:
    """Say whose a study is before it arrives; one that is at work or done in another project keeps that one too."""
    study = _first(found, orthanc, resources)
    if study and study.run and said.project not in ("", study.project):
        note_further(found, said, orthanc, resources)
    else:
        resources.origins.note(found.study_uid, said)


def note_further(found: Found, said: Origin, orthanc: str | None, resources: Resources) -> None:
    """Say that a study that is here, or being fetched by another row, is wanted in the project that the list names.

    Where that is its own project nothing follows: this is found out when it is examined.
    """
    if not said.project:
        return
    resources.origins.note_further(found.study_uid, said)
    study = _first(found, orthanc, resources)
    if study is None:
        return  # found when it is examined
    resources.ledger.mark_recheck(study.id)
    is_settled = study.status == IGNORED and study.reason != BEFORE
    if (study.run or is_settled) and study.project != said.project and not study.arrived:
        resources.ledger.join(study.id, {said.project: LISTED})


def _first(found: Found, orthanc: str | None, resources: Resources) -> Study | None:
    return resources.ledger.find(orthanc or orthanc_id(found.patient_id, found.study_uid))
