"""The routes as a table: method, path, function, model of the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from .audit import export_audit, feed_audit, list_audit, verify_audit
from .batches import (
    begin_batch,
    cancel_batch,
    copy_batch,
    list_batches,
    list_rows,
    pause_batch,
    report_batch,
    resume_batch,
    retry_batch,
    show_batch,
    show_series,
)
from .conflicts import decide_conflict, list_conflicts
from .crosswalk import crosswalk_status, export_patients, export_uids, list_reasons, look_up, look_up_one
from .crosswalk_import import ImportAnswer, import_crosswalk
from .destinations import (
    check_destination,
    list_destinations,
    pause_destination,
    resend_failed,
    resume_destination,
)
from .erasing import forget_patient, join_identities, seal_project
from .health import examine_health
from .keys import rotate_keys, show_keys
from .manifests import announce_instances
from .models import (
    AuditPage,
    AuditVerified,
    BatchAnswer,
    BatchPage,
    BatchWanted,
    Checked,
    ConflictAnswer,
    ConflictPage,
    CopyList,
    DestinationAnswer,
    DestinationList,
    Health,
    KeysAnswer,
    ManifestList,
    MarkedAnswer,
    ProfileAnswer,
    ProfileList,
    ProjectList,
    RemovalList,
    ReprocessPage,
    Resent,
    RowPage,
    SeriesList,
    SourceAnswer,
    SourceList,
    StudyAnswer,
    StudyPage,
    UnprocessedPage,
)
from .models.crosswalk import (
    CrosswalkList,
    ForgetAnswer,
    JoinedList,
    MatchList,
    ReasonList,
    SealAnswer,
)
from .parameters import Held
from .profiles import list_profiles, list_projects, show_profile
from .reprocess import reprocess_older, reprocess_study
from .results import (
    instance_jpeg,
    instance_png,
    series_nifti,
    series_pictures,
    series_sheet,
    study_bids,
    study_dicomdir,
    study_nifti,
)
from .retention import preview_retention, run_retention
from .retrospective import list_unprocessed, mark_processed
from .sources import check_source, list_sources, pause_source, resume_source, show_source
from .studies import (
    approve_study,
    cancel_study,
    export_study,
    list_studies,
    process_study,
    reject_study,
    retry_study,
    show_study,
)
from .validate import ValidatedPage, validate_studies


def health(runtime: Held) -> Any:
    """Say what works and what does not; always 200, `status` is `degraded` where something is wrong."""
    return examine_health(runtime)


def take_hint(runtime: Held) -> Response:
    """Look at Orthanc's changes now."""
    runtime.reconcile.hint()
    return Response(status_code=204)


@dataclass(frozen=True)
class Route:
    """One row; `errors` are the codes beside those that every route has."""

    method: str
    path: str
    function: Callable[..., Any]
    model: type[BaseModel] | None
    status: int = 200
    errors: tuple[int, ...] = ()
    body: type[BaseModel] | None = None  # where the function reads the body by itself


FILE = (403, 404, 422)
REIDENTIFIED = (403, 404, 409, 422)
ROUTES = (
    Route("GET", "/deid/health", health, Health),
    Route("GET", "/deid/studies", list_studies, StudyPage, errors=(422,)),
    Route("GET", "/deid/studies/{study}", show_study, StudyAnswer, errors=(404, 422)),
    Route("POST", "/deid/studies/{study}/process", process_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/retry", retry_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/cancel", cancel_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/approve", approve_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/reject", reject_study, StudyAnswer, 200, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/export", export_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/studies/{study}/reprocess", reprocess_study, StudyAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/reprocess", reprocess_older, ReprocessPage, 202, (422,)),
    Route("GET", "/deid/studies/{study}/nifti", study_nifti, None, errors=FILE),
    Route("GET", "/deid/studies/{study}/bids", study_bids, None, errors=FILE),
    Route("GET", "/deid/studies/{study}/dicomdir", study_dicomdir, None, errors=FILE),
    Route("GET", "/deid/series/{series}/nifti", series_nifti, None, errors=FILE),
    Route("GET", "/deid/series/{series}/png", series_pictures, None, errors=FILE),
    Route("GET", "/deid/series/{series}/contact-sheet", series_sheet, None, errors=FILE),
    Route("GET", "/deid/instances/{instance}/png", instance_png, None, errors=FILE),
    Route("GET", "/deid/instances/{instance}/jpeg", instance_jpeg, None, errors=FILE),
    Route("POST", "/deid/manifests", announce_instances, ManifestList, 201, (422,)),
    Route("GET", "/deid/destinations", list_destinations, DestinationList),
    Route("POST", "/deid/destinations/{name}/check", check_destination, Checked, errors=(404, 422)),
    Route("POST", "/deid/destinations/{name}/pause", pause_destination, DestinationAnswer, errors=(404, 422)),
    Route("POST", "/deid/destinations/{name}/resume", resume_destination, DestinationAnswer, errors=(404, 422)),
    Route("POST", "/deid/destinations/{name}/resend", resend_failed, Resent, 202, (404, 422)),
    Route("GET", "/deid/conflicts", list_conflicts, ConflictPage, errors=(404, 422)),
    Route("POST", "/deid/conflicts/{conflict}", decide_conflict, ConflictAnswer, 202, (404, 409, 422)),
    Route("POST", "/deid/batches", begin_batch, BatchAnswer, 201, (422,), BatchWanted),
    Route("GET", "/deid/batches", list_batches, BatchPage, errors=(422,)),
    Route("GET", "/deid/batches/{batch}", show_batch, BatchAnswer, errors=(404, 422)),
    Route("GET", "/deid/batches/{batch}/rows", list_rows, RowPage, errors=(404, 422)),
    Route("GET", "/deid/batches/{batch}/rows/{line}/series", show_series, SeriesList, errors=(404, 422)),
    Route("GET", "/deid/batches/{batch}/report.csv", report_batch, None, errors=(404, 422)),
    Route("POST", "/deid/batches/{batch}/copies", copy_batch, CopyList, errors=(404, 422)),
    Route("POST", "/deid/batches/{batch}/pause", pause_batch, BatchAnswer, errors=(404, 409, 422)),
    Route("POST", "/deid/batches/{batch}/resume", resume_batch, BatchAnswer, errors=(404, 409, 422)),
    Route("POST", "/deid/batches/{batch}/cancel", cancel_batch, BatchAnswer, errors=(404, 409, 422)),
    Route("POST", "/deid/batches/{batch}/retry", retry_batch, BatchAnswer, 202, (404, 409, 422)),
    Route("GET", "/deid/sources", list_sources, SourceList),
    Route("GET", "/deid/sources/{name}", show_source, SourceAnswer, errors=(404, 422)),
    Route("POST", "/deid/sources/{name}/check", check_source, Checked, errors=(404, 422)),
    Route("POST", "/deid/sources/{name}/pause", pause_source, SourceAnswer, errors=(404, 422)),
    Route("POST", "/deid/sources/{name}/resume", resume_source, SourceAnswer, errors=(404, 422)),
    Route("GET", "/deid/keys", show_keys, KeysAnswer, errors=(422,)),
    Route("POST", "/deid/keys/rotate", rotate_keys, KeysAnswer, 202, (409, 422)),
    Route("GET", "/deid/profiles", list_profiles, ProfileList),
    Route("GET", "/deid/profiles/{name}", show_profile, ProfileAnswer, errors=(404, 422)),
    Route("GET", "/deid/projects", list_projects, ProjectList),
    Route("GET", "/deid/retention", preview_retention, RemovalList),
    Route("POST", "/deid/retention", run_retention, RemovalList, errors=(422,)),
    Route("GET", "/deid/unprocessed", list_unprocessed, UnprocessedPage, errors=(422,)),
    Route("POST", "/deid/validate", validate_studies, ValidatedPage, errors=(403, 422)),
    Route("POST", "/deid/processed", mark_processed, MarkedAnswer, errors=(422,)),
    Route("GET", "/deid/crosswalk", crosswalk_status, CrosswalkList),
    Route("GET", "/deid/crosswalk/reasons", list_reasons, ReasonList, errors=(403, 422)),
    Route("POST", "/deid/crosswalk/import", import_crosswalk, ImportAnswer, errors=REIDENTIFIED),
    Route("POST", "/deid/crosswalk/lookup", look_up, MatchList, errors=REIDENTIFIED),
    Route("POST", "/deid/crosswalk/forget", forget_patient, ForgetAnswer, errors=REIDENTIFIED),
    Route("POST", "/deid/crosswalk/seal", seal_project, SealAnswer, errors=REIDENTIFIED),
    Route("POST", "/deid/crosswalk/alias", join_identities, JoinedList, errors=REIDENTIFIED),
    Route("GET", "/deid/crosswalk/{project}/uid_mapping.csv", export_uids, None, errors=REIDENTIFIED),
    Route("GET", "/deid/crosswalk/{project}/patid_mapping.csv", export_patients, None, errors=REIDENTIFIED),
    Route("GET", "/deid/crosswalk/{project}/{pseudonym}", look_up_one, MatchList, errors=REIDENTIFIED),
    Route("GET", "/deid/audit", list_audit, AuditPage, errors=(404, 422)),
    Route("GET", "/deid/audit/export", export_audit, None, errors=(422,)),
    Route("POST", "/deid/audit/verify", verify_audit, AuditVerified, errors=(422,)),
    Route("GET", "/internal/audit", feed_audit, None),
    Route("POST", "/internal/hint", take_hint, None, 204),
)
