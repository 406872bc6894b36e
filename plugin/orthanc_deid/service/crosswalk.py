"""Routes on the crosswalk: who is who, for those who have the role; counts, for everybody."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query
from fastapi.responses import StreamingResponse

from .. import profiles
from ..confidentiality import actions
from ..confidentiality.profile import Profile
from ..confidentiality.pseudonyms import Patient, Pseudonyms, is_well_known
from ..confidentiality.rewrite import new_uid
from ..database.audit import record
from ..database.crosswalk import KINDS, Known
from ..database.crosswalk_views import NAMES, PATIENTS, UIDS, CrosswalkViews, Match, Question
from ..database.views import iso
from ..errors import ConfigurationError, NotFound, Rejected
from . import reasons
from .access import REIDENTIFY, demand_role
from .models.crosswalk import LookupWanted, never
from .parameters import Held, User
from .runtime import Runtime

MOST_ROWS = 200_000  # of a mapping in one answer: Orthanc keeps an answer in memory several times over
USES = ("looked-up", "exported-records", "forgotten", "sealed", "alias")
_LINES = 1000  # that are written at once

ProjectName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="its name")]
Pseudonym = Annotated[str, Path(min_length=1, max_length=64, description="PatientID or UID of the output")]


@dataclass(frozen=True)
class _Part:
    after: int | None
    count: int


def _part(
    after: Annotated[int | None, Query(ge=0, description="go on behind this row; 0: from the beginning")] = None,
    count: Annotated[int, Query(ge=1, le=MOST_ROWS, description="most rows of a part")] = MOST_ROWS,
) -> _Part:
    return _Part(after, count)


Part = Annotated[_Part, Depends(_part)]


def _reason(sent: Annotated[str, Header(alias="Deid-Reason", description="why it is asked")] = "") -> str:
    """Read a header that is UTF-8, which the framework takes for Latin-1."""
    return sent.encode("latin-1").decode("utf-8", "replace")


Reason = Annotated[str, Depends(_reason)]


def views_of(runtime: Runtime) -> CrosswalkViews:
    """Return the crosswalk, to be read."""
    return CrosswalkViews(runtime.database, runtime.keyring)


def crosswalk_status(runtime: Held) -> Any:
    """Count what the crosswalk holds of each project."""
    sources = {project.name: project.pseudonyms.kind for project in runtime.settings.configuration.projects}
    known = {each.name: each for each in views_of(runtime).status()}
    items = []
    for name in sorted(sources | known):
        found = known.get(name)
        sealed = runtime.keyring.is_sealed(name)
        items.append(
            {
                "project": name,
                "source": sources.get(name),
                "key": found.key if found else "sealed" if sealed else "none",
                "sealed_at": iso(found.sealed_at if found else None),
                "counts": found.counts if found else dict.fromkeys((*KINDS, "alias"), 0),
            }
        )
    return {"items": items}


def look_up(runtime: Held, wanted: LookupWanted, user: User) -> Any:
    """Tell what values of sources are called, or whose values of outputs are. Needs the role reidentify."""
    demand_role(runtime, user, REIDENTIFY)
    return _looked_up(runtime, wanted, user)


def look_up_one(runtime: Held, project: ProjectName, pseudonym: Pseudonym, reason: Reason, user: User) -> Any:
    """Tell whose a pseudonym is. Needs the role reidentify, and a header Deid-Reason."""
    demand_role(runtime, user, REIDENTIFY)
    wanted = LookupWanted(direction="pseudonym", values=(pseudonym,), reason=reason, project=project)
    found = _looked_up(runtime, wanted, user)
    if not found["items"][0]["found"]:
        raise NotFound("nobody and nothing is called so in this project")
    return found


def _looked_up(runtime: Runtime, wanted: LookupWanted, user: str) -> dict[str, Any]:
    """Look up; the audit has it before anybody gets an answer."""
    reason = reasons.demand(wanted.reason, wanted.values)
    views = views_of(runtime)
    projects, unread = ([wanted.project], []) if wanted.project else views.readable()
    kinds = [KINDS[wanted.kind]] if wanted.kind else list(NAMES)
    values = tuple(dict.fromkeys(value.strip() for value in wanted.values))
    question = Question(values, wanted.direction == "original", kinds, wanted.issuer)
    found: dict[str, list[Match]] = {name: views.lookup(name, question) for name in projects}
    with runtime.database.begin() as connection:
        for name, matches in found.items():
            record(
                connection, "looked-up", actor=user, project=name, direction=wanted.direction,
                kind=wanted.kind or "all", asked=len(values), found=len({match.value for match in matches}),
                **reasons.close(runtime.keyring, reason, name),
            )  # fmt: skip
        if not found:
            of_none = reasons.close(runtime.keyring, reason, None)
            record(connection, "looked-up", actor=user, asked=len(values), found=0, **of_none)
    told = _Telling(runtime)
    items = [told.match(match) for matches in found.values() for match in matches]
    missed = {*values} - {item["value"] for item in items}
    items += [_derived(runtime, wanted, value) or never(value=value) for value in missed]
    order = {value: number for number, value in enumerate(values)}
    return {"items": sorted(items, key=lambda item: order[item["value"]]), "unread": unread}


def _derived(runtime: Runtime, wanted: LookupWanted, value: str) -> dict[str, Any] | None:
    """Return what a UID becomes that was not noted: in nested references, of frames of reference."""
    is_uid = wanted.kind in (None, "study", "series", "instance") and actions.is_uid(value)
    if wanted.project is None or wanted.direction != "original" or not is_uid or is_well_known(value):
        return None
    pseudonyms = Pseudonyms(runtime.keyring.project(wanted.project))
    profile = _profile(runtime, wanted.project)
    replaced = new_uid(profile, pseudonyms)(value) if profile else pseudonyms.uid(value)
    return never(value=value, derived=True, project=wanted.project, original=value, replaced=replaced)


def _profile(runtime: Runtime, project: str) -> Profile | None:
    """Return a project's profile; None where the configuration does not name it any more."""
    settings = runtime.settings
    try:
        return profiles.load(settings, settings.configuration.project(project).profile)
    except ConfigurationError:
        return None


class _Telling:
    """Makes answers of matches; remembers how far each patient's dates are shifted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._profiles: dict[str, Profile | None] = {}

    def match(self, match: Match) -> dict[str, Any]:
        """Return one answer."""
        known = match.patient
        told = {
            "value": match.value, "found": True, "derived": False, "kind": NAMES[match.kind],
            "project": match.project, "original": match.original, "replaced": match.replaced,
        }  # fmt: skip
        if known is None:
            return never() | told
        return told | {
            "issuer": known.identity.issuer, "patient_id": known.identity.patient_id, "patient": known.pseudonym,
            "offset_days": self._offset(match.project, known),
        }  # fmt: skip

    def _offset(self, project: str, known: Known) -> int | None:
        """Return the shift of dates; None where a project that is not configured any more does not tell it."""
        if known.offset_days is not None:
            return known.offset_days
        if project not in self._profiles:
            self._profiles[project] = _profile(self._runtime, project)
        profile = self._profiles[project]
        if profile is None:
            return None
        patient = Patient(known.identity.issuer, known.identity.patient_id)
        pseudonyms = Pseudonyms(self._runtime.keyring.project(project))
        return pseudonyms.offset_days(patient, whole_weeks=profile.dates.keep_weekday)


def export_uids(runtime: Held, project: ProjectName, reason: Reason, user: User, part: Part) -> StreamingResponse:
    """Return uid_mapping.csv: UIDs of studies, series and instances, before and after. Needs the role reidentify."""
    return _export(runtime, (project, "uid_mapping.csv", UIDS), reason, user, part)


def export_patients(runtime: Held, project: ProjectName, reason: Reason, user: User, part: Part) -> StreamingResponse:
    """Return patid_mapping.csv: PatientIDs before and after. Needs the role reidentify."""
    return _export(runtime, (project, "patid_mapping.csv", PATIENTS), reason, user, part)


def _export(
    runtime: Runtime, what: tuple[str, str, Sequence[int]], reason: str, user: str, part: _Part
) -> StreamingResponse:
    """Send one part of a mapping; the header Link tells where the next begins. Only rows of it are in memory."""
    demand_role(runtime, user, REIDENTIFY)
    (project, name, kinds), after, count = what, part.after, part.count
    reason, views = reasons.demand(reason), views_of(runtime)
    begin = after or 0
    rows, last = views.page(project, kinds, begin, count)
    is_more = rows == count and views.page(project, kinds, last, 1)[0] > 0
    if is_more and after is None:
        raise Rejected(
            f"the mapping has more than {count} rows: ask for parts of it by ?after=0&count={count}, the header Link"
            " names the next; orthanc-deid crosswalk export does so"
        )
    with runtime.database.begin() as connection:
        record(
            connection, "exported-records", actor=user, project=project, thing=name, rows=rows, after=begin,
            **reasons.close(runtime.keyring, reason, project),
        )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    if is_more:
        headers["Link"] = f'</deid/crosswalk/{project}/{name}?after={last}&count={count}>; rel="next"'
    lines = _lines(views.pairs(project, kinds, begin, last), with_header=not begin)
    return StreamingResponse(lines, 200, headers, "text/csv; charset=utf-8")


def _lines(pairs: Iterator[tuple[str, str]], *, with_header: bool) -> Iterator[bytes]:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if with_header:
        rows.writerow(("id_old", "id_new"))
    for number, pair in enumerate(pairs, 1):
        rows.writerow(pair)
        if number % _LINES == 0:
            yield text.getvalue().encode("utf-8", "backslashreplace")
            text.seek(text.truncate(0))
    yield text.getvalue().encode("utf-8", "backslashreplace")


def list_reasons(
    runtime: Held,
    user: User,
    limit: Annotated[int, Query(ge=1, le=1000, description="most uses in the answer")] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")] = None,
) -> Any:
    """List who has used the crosswalk, newest first, with the reasons. Needs the role reidentify."""
    demand_role(runtime, user, REIDENTIFY)
    before = int(cursor or 0)
    found = [e for what in USES for e in runtime.audit.page(after=before, limit=limit, what=what, newest=True)]
    found = sorted(found, key=lambda entry: -entry.id)[:limit]
    items = [
        {
            "record": entry.id, "at": iso(entry.at), "actor": entry.actor, "what": entry.what, "project": entry.project,
            "reason": reasons.open_reason(runtime.keyring, entry.detail, entry.project),
        }
        for entry in found
    ]  # fmt: skip
    return {"items": items, "next": str(found[-1].id) if len(found) == limit else None}
