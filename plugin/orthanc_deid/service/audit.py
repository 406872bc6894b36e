"""Routes on the audit: read it, take it out, verify it; none changes anything of it."""

from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.exceptions import RequestValidationError

from .. import chain
from ..database import views
from ..database.audit import RECORDS
from ..errors import NotFound
from .models import AuditVerify
from .parameters import ORTHANC_ID, Held, User

VERIFY_S = 20.0  # below the time-out of the plugin's route, on a machine that is busy
LINES = 20000  # of an export at once: some 10 MB
FEED = 500
EVERYTHING = AuditVerify()
After = Annotated[int, Query(ge=0, description="number of a record: only those after it; with newest: before it")]


def list_audit(  # noqa: PLR0913  # the filters of a page
    runtime: Held,
    what: Annotated[str | None, Query(description="only records of this kind")] = None,
    study: Annotated[str | None, Query(pattern=ORTHANC_ID, description="only of this study, source or output")] = None,
    project: Annotated[str | None, Query(description="only of this project")] = None,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="most records in the answer")] = 100,
    *,
    newest: Annotated[bool, Query(description="true: newest first")] = False,
) -> Any:
    """List records of the audit, oldest first."""
    if what is not None and what not in RECORDS:
        message = f"no kind of record (known: {', '.join(RECORDS)})"
        raise RequestValidationError([{"loc": ("query", "what"), "msg": message}])
    number = views.one(runtime.database, study)["id"] if study else None
    found = runtime.audit.page(
        after=after, limit=limit + 1, what=what, study_id=number, project=project, newest=newest
    )  # fmt: skip
    page = found[:limit]
    items = [each.shown | {"at": views.iso(each.at)} for each in page]
    return {"items": items, "next": page[-1].id if len(found) > limit else None}


def export_audit(
    runtime: Held,
    user: User,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=LINES, description="most records in the answer")] = LINES,
) -> Response:
    """Give records as JSON Lines, oldest first; the last part ends with a line that says which was the newest.

    Ask again with `after` the number of the last line, until a line has a `head`. Exactly these lines can be verified
    without this server.
    """
    if after and runtime.audit.hash_at(after) is None:
        raise NotFound(f"there is no record {after}")
    if not after:
        runtime.audit.write("exported-records", actor=user, thing="audit")
    head = runtime.audit.head()
    found = runtime.audit.page(after=after, limit=limit)
    lines = [chain.canonical(each.shown) for each in found]
    if len(found) < limit:
        last, newest = (found[-1].id, found[-1].hash) if found else (after, runtime.audit.hash_at(after) or "")
        lines.append(chain.canonical({"head": runtime.audit.proven(last, newest, head).columns}))
    return Response("".join(f"{line}\n" for line in lines), media_type="application/jsonl")


def verify_audit(runtime: Held, wanted: AuditVerify = EVERYTHING) -> Any:
    """Verify the chain of records; where it takes long, in parts: `ended` is false, and `last` and `hash` go on."""
    found = runtime.audit.verify(after=wanted.after, before=wanted.before, most_s=VERIFY_S)
    fault = found.fault
    if fault is None and found.ended and wanted.number:
        fault = chain.compared(wanted.number, wanted.hash, runtime.audit.hash_at(wanted.number))
    return {
        "last": found.last,
        "hash": found.hash,
        "ended": found.ended,
        "wrong": None if fault is None else {"number": fault.number, "why": fault.why},
    }


def feed_audit(runtime: Held, after: After = 0) -> Any:
    """Give records to the plugin, which passes them on to Orthanc's own audit; with the studies' Orthanc ids."""
    found = runtime.audit.page(after=after, limit=FEED)
    head = runtime.audit.head()
    sources = runtime.ledger.sources({each.study_id for each in found if each.study_id})
    items = [each.shown | {"source": sources.get(each.study_id or 0)} for each in found]
    return {"items": items, "last": head.last if head else 0}
