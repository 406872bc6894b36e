"""Routes on batches: begin one with a list, see how its rows are, pause, go on, cancel, try the rest again, report."""

import contextlib
import tempfile
from collections.abc import Iterator
from email.message import Message
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from .. import log, pacs, states
from ..batches import question
from ..batches.archive import settings_of
from ..batches.lists import columns, read, report, sheet
from ..database import views
from ..database.batches import Asked, Batch, BatchRow
from ..database.studies import address_of
from ..errors import ConfigurationError, Conflict, Rejected
from ..pipeline import rows_of
from ..settings import Archive
from ..yaml_file import nearest
from .models import BatchRetry, BatchWanted
from .parameters import Held, User
from .runtime import Runtime

BatchNumber = Annotated[int, Path(ge=1, description="number of the batch")]
Line = Annotated[int, Path(ge=1, description="line of the list, from 1")]
LIST_BYTES = 32 * 2**20
FAULTS_TOLD = 20
REPORT_ROWS = 200  # read at once
PIECE = 1 << 16  # characters
EVERY = BatchRetry()


def _demand_faultless(table: read.Table) -> None:
    """Refuse a list with faults, each named by line and column; nothing of it is begun."""
    if not table.faults:
        return
    count = len(table.faults)
    told = "; ".join(
        f"line {f.line}{', ' + f.column if f.column else ''}: {f.message}" for f in table.faults[:FAULTS_TOLD]
    )
    more = f"; and {count - FAULTS_TOLD} more" if count > FAULTS_TOLD else ""
    raise Rejected(f"{count} {'fault' if count == 1 else 'faults'}, nothing was asked for: {told}{more}")


async def _wanted(request: Request) -> BatchWanted:
    """Read the body: JSON, or the list itself with the other fields as parameters of its Content-Type.

    Orthanc passes no query on with a POST.
    """
    content = await request.body()
    kind = Message()
    kind["content-type"] = request.headers.get("content-type", "")
    if len(content) > LIST_BYTES:
        raise Rejected(f"the list is larger than {LIST_BYTES} bytes: cut it into several")
    try:
        if kind.get_content_type() == "application/json":
            return BatchWanted.model_validate_json(content)
        given = {name: value for name, value in kind.get_params([])[1:] if name != "charset"}
        _demand_faultless(read.read(content))
        return BatchWanted.model_validate({"list": sheet.text_of(content)} | given)
    except ValidationError as error:
        told = [{"loc": ("body", *each["loc"]), "msg": each["msg"]} for each in error.errors(include_input=False)]
        raise RequestValidationError(told) from None


def begin_batch(runtime: Held, user: User, wanted: Annotated[BatchWanted, Depends(_wanted)]) -> Any:
    """Begin to fetch what a list names from an archive, unless the list has a fault; JSON, or the list as it is."""
    source = _source(runtime, wanted)
    table = read.read(wanted.list)
    _demand_faultless(table)
    _demand_possible(runtime, wanted, table)
    if wanted.project:
        _demand_project(runtime, wanted.project, "project")
    if wanted.label:
        _demand_label(runtime, wanted.label)
    for line in table.lines:
        if line.project:
            _demand_project(runtime, line.project, f"line {line.number}, Project")
    asked = Asked(
        source=source, actor=user, target="" if wanted.to == "local" else wanted.to, mode=wanted.mode,
        project=wanted.project, label=wanted.label, hold=wanted.hold, priority=wanted.priority,
        studies_most=wanted.most, key=wanted.key,
    )  # fmt: skip
    made = runtime.batches.create(asked, [(line.number, question.close(runtime.seal, line)) for line in table.lines])
    log.event("batch begun", batch=made.id, count=len(table.lines))
    runtime.reconcile.hint()
    return _told(runtime, made)


def list_batches(
    runtime: Held,
    limit: Annotated[int, Query(ge=1, le=1000, description="most batches in the answer")] = 100,
    cursor: Annotated[int | None, Query(ge=1, description="`next` of the page before")] = None,
) -> Any:
    """List batches, newest first."""
    page = runtime.batches.page(limit + 1, cursor)
    more = len(page) > limit
    return {"items": [_told(runtime, each) for each in page[:limit]], "next": page[limit - 1].id if more else None}


def show_batch(runtime: Held, batch: BatchNumber) -> Any:
    """Show one batch: how many of its rows are in which state, how much has arrived."""
    return _told(runtime, runtime.batches.get(batch))


def list_rows(
    runtime: Held,
    batch: BatchNumber,
    state: Annotated[str | None, Query(description="states of rows, separated by commas")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="most rows in the answer")] = 100,
    cursor: Annotated[int, Query(ge=0, description="`next` of the page before")] = 0,
) -> Any:
    """List the rows of a batch in the order of the list, without what they ask for."""
    runtime.batches.get(batch)
    wanted = state.split(",") if state else None
    page = runtime.batches.rows(batch, state=wanted, after=cursor, limit=limit + 1)
    items = [_row(runtime, each) for each in page[:limit]]
    return {"items": items, "next": page[limit - 1].line if len(page) > limit else None}


def show_series(runtime: Held, batch: BatchNumber, line: Line, user: User) -> Any:
    """Tell what the archive says of every series that a row names; this is identified."""
    found = runtime.batches.get(batch)
    archive = pacs.connect(settings_of(runtime.settings.configuration, found), runtime.orthanc)
    answer = []
    for row in runtime.batches.rows(batch, after=line - 1, limit=1):
        for study in runtime.batches.studies(row.id) if row.line == line else ():
            of = question.found(runtime.seal, study)
            answer += [
                dict(series.attributes)
                for series in archive.series(of.study_uid)
                if of.series_uid in ("", series.series_uid)
            ]
    runtime.audit.write("shown", actor=user, batch=batch, thing="series", count=len(answer))
    log.event("identified answer given", batch=batch, count=len(answer))
    return {"items": answer}


def copy_batch(runtime: Held, batch: BatchNumber, user: User) -> Any:
    """Tell what a batch has brought, for copies of it, and note with each study who takes them."""
    found = runtime.batches.get(batch)
    held = {row.line: _held(runtime, row) for row in _rows(runtime, found.id)}
    for orthanc in {each for studies in held.values() for each in studies}:
        study = runtime.ledger.find(orthanc)
        if study:
            runtime.ledger.note(study.id, "copies of its instances were saved outside of Orthanc", user, "shown")
    items = [{"line": line, "studies": studies} for line, studies in held.items()]
    log.event("copies of instances given", batch=batch, count=len(items))
    return {"items": items, "identified": not runtime.settings.configuration.intake.on_arrival}


def report_batch(runtime: Held, batch: BatchNumber, user: User) -> StreamingResponse:
    """Give the list back with what came of each row, as CSV; this is identified."""
    runtime.batches.get(batch)
    runtime.audit.write("shown", actor=user, batch=batch, thing="report")
    log.event("identified report given", batch=batch)
    return StreamingResponse(_report(runtime, batch), media_type="text/csv; charset=utf-8")


def pause_batch(runtime: Held, batch: BatchNumber, user: User) -> Any:
    """Begin no further study of a batch; what is being sent is finished."""
    return _told(runtime, runtime.batches.set_state(batch, states.BATCH_PAUSED, user))


def resume_batch(runtime: Held, batch: BatchNumber, user: User) -> Any:
    """Let a paused batch go on at once."""
    made = runtime.batches.set_state(batch, states.BATCH_RUNNING, user)
    runtime.queue.hasten(rows_of(batch))
    runtime.reconcile.hint()
    return _told(runtime, made)


def cancel_batch(runtime: Held, batch: BatchNumber, user: User) -> Any:
    """Stop a batch; what has arrived stays and goes its way."""
    made = runtime.batches.set_state(batch, states.BATCH_CANCELLED, user)
    runtime.queue.cancel(rows_of(batch))
    return _told(runtime, made)


def retry_batch(runtime: Held, batch: BatchNumber, user: User, which: BatchRetry = EVERY) -> Any:
    """Ask once more for the rows that were not found, refused, partial or not begun."""
    wanted = set(which.state.split(",")) if which.state else set(states.ROW_UNDONE)
    if wanted - states.ROW_UNDONE:
        message = f"not a state that can be tried again (those: {', '.join(sorted(states.ROW_UNDONE))})"
        raise RequestValidationError([{"loc": ("body", "state"), "msg": message}])
    if not runtime.batches.again(batch, wanted, user):
        raise Conflict("no row of the batch is in such a state")
    runtime.reconcile.hint()
    return _told(runtime, runtime.batches.get(batch))


def _source(runtime: Runtime, wanted: BatchWanted) -> str:
    """Return the archive that is meant; raise where there is none, or several and none is named."""
    configuration = runtime.settings.configuration
    archives = [source.name for source in configuration.sources if isinstance(source, Archive)]
    if wanted.source in archives:
        return wanted.source
    if not wanted.source and len(archives) == 1:
        return archives[0]
    message = f"no archive is called {wanted.source}{nearest(wanted.source, archives)}"
    if not archives:
        message = "deid.yaml names no source of kind pacs or dicomweb"
    elif not wanted.source:
        message = f"name the archive: {', '.join(archives)}"
    else:
        with contextlib.suppress(ConfigurationError):
            kind = configuration.source(wanted.source).kind
            message = f"{wanted.source} is of kind {kind}: only a pacs or dicomweb source can be asked"
    raise RequestValidationError([{"loc": ("body", "source"), "msg": message}])


def _demand_possible(runtime: Runtime, wanted: BatchWanted, table: read.Table) -> None:
    """Refuse what de-identification on arrival cannot heed: its door knows no list."""
    if not runtime.settings.configuration.intake.on_arrival or wanted.to != "local":
        return
    named = [name for name in ("project", "label", "hold") if getattr(wanted, name)]
    if named or any(line.project or line.pseudonym or line.album for line in table.lines):
        what = ", ".join(named) or "Project, Pseudonym or Album"
        raise Rejected(f"{what}: instances are de-identified on arrival, by the first project that takes them")


def _demand_project(runtime: Runtime, project: str, where: str) -> None:
    try:
        runtime.settings.configuration.project(project)
    except ConfigurationError as error:
        raise RequestValidationError([{"loc": ("list", where), "msg": str(error)}]) from None


def _demand_label(runtime: Runtime, label: str) -> None:
    """Refuse a label that no project asks for: misspelt, its studies would go to whichever project matches them."""
    known = sorted({name for p in runtime.settings.configuration.projects for name in p.match.batch})
    if label not in known:
        message = f"no project matches batches of the label {label}{nearest(label, known)}"
        raise RequestValidationError([{"loc": ("body", "label"), "msg": message}])


def _told(runtime: Runtime, batch: Batch) -> dict[str, Any]:
    studies, expected, arrived = runtime.batches.instances(batch.id)
    return {
        "id": batch.id,
        "source": batch.source,
        "to": batch.target or "local",
        "mode": batch.mode,
        "state": batch.state,
        "project": batch.project,
        "label": batch.label or "",
        "hold": bool(batch.hold),
        "priority": batch.priority,
        "most": batch.studies_most,
        "actor": batch.actor,
        "rows": runtime.batches.counts(batch.id),
        "studies": studies,
        "instances": {"expected": expected, "arrived": arrived},
        "created_at": views.iso(batch.created_at),
        "updated_at": views.iso(batch.updated_at),
    }


def _held(runtime: Runtime, row: BatchRow) -> list[str]:
    """Return the Orthanc ids of the studies here that a row names."""
    return list(dict.fromkeys(each.orthanc for each in runtime.batches.studies(row.id) if each.orthanc))


def _row(runtime: Runtime, row: BatchRow) -> dict[str, Any]:
    project = question.question(runtime.seal, row).project or runtime.batches.get(row.batch_id).project
    return {
        "line": row.line,
        "state": row.state,
        "reason": row.reason,
        "attempt": row.attempt,
        "next_attempt_at": views.iso(row.next_attempt_at),
        "studies": [
            {
                "state": each.state,
                "expected": each.expected,
                "arrived": each.arrived,
                "orthanc": each.orthanc,
                "status": _status(runtime, each.orthanc, project),
            }
            for each in runtime.batches.studies(row.id)
        ],
    }


def _status(runtime: Runtime, orthanc: str | None, project: str) -> str | None:
    """Return how far a study that has arrived is, in the project that its row names where it is in that one."""
    if not orthanc:
        return None
    found = runtime.ledger.find(address_of(orthanc, project)) or runtime.ledger.find(orthanc)
    return found.status if found else None


def _report(runtime: Runtime, batch: int) -> Iterator[bytes]:
    """Yield the report in pieces; it is put together on disk, so that a list of any length fits into memory."""
    used = {name for row in _rows(runtime, batch) for name in question.question(runtime.seal, row).cells}
    listed = [column.name for column in columns.COLUMNS if column.name in used]
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        report.write((_report_row(runtime, row) for row in _rows(runtime, batch)), file, listed)
        file.seek(0)
        while text := file.read(PIECE):
            yield text.encode()


def _rows(runtime: Runtime, batch: int) -> Iterator[BatchRow]:
    after = 0
    while page := runtime.batches.rows(batch, after=after, limit=REPORT_ROWS):
        yield from page
        after = page[-1].line


def _report_row(runtime: Runtime, row: BatchRow) -> report.ReportRow:
    studies = []
    asked = question.question(runtime.seal, row)
    project = asked.project or runtime.batches.get(row.batch_id).project
    for each in runtime.batches.studies(row.id):
        found = question.found(runtime.seal, each)
        missing = tuple(runtime.seal.open(each.missing)) if each.missing else ()
        studies.append(
            report.ReportStudy(
                study_uid=found.study_uid, expected=each.expected, arrived=each.arrived, missing=missing,
                state=each.state, orthanc=each.orthanc or "", pipeline=_status(runtime, each.orthanc, project) or "",
            )
        )  # fmt: skip
    return report.ReportRow(
        line=row.line, cells=asked.cells, state=row.state, reason=row.reason or "", studies=tuple(studies)
    )
