"""Routes on outputs of an older profile: make one study anew, or find and make anew all."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError

from .. import profiles, states
from ..database import views
from ..database.ledger import Study
from ..database.makers import Maker
from ..errors import ConfigurationError, Conflict
from ..intake.remake import remake, why_not
from ..made_by import made_by, maker
from .models import ReprocessWanted
from .parameters import Held, StudyId, User
from .runtime import Runtime
from .studies import known

PAGE = 500
SECONDS = 10.0  # after which an answer is given with what was found until then


def reprocess_study(runtime: Held, study: StudyId, user: User) -> Any:
    """Make all instances of a study anew by its project's profile of now, verify them and deliver them again.

    Pseudonym and UIDs stay. 409 says why it cannot be: it is at work, held, or its sources are gone.
    """
    found = known(runtime, study)
    remake(runtime.intake, found, user)
    return views.one(runtime.database, found.address)


def reprocess_older(runtime: Held, wanted: ReprocessWanted, user: User) -> Any:
    """Find the outputs that another profile has made than their project has now, and make them anew.

    All studies are walked, oldest first; an answer comes after 10 s at the latest, so that it can be empty and have a
    `next`.
    """
    search = _Search(runtime, wanted, user)
    items: list[dict[str, Any]] = []
    end = time.monotonic() + SECONDS
    for study in search.studies():
        told = search.take(study)
        if told:
            items.append(told)
        if len(items) >= wanted.limit or time.monotonic() > end:
            return {"items": items, "next": str(study.id)}
    return {"items": items, "next": None}


@dataclass(frozen=True)
class _Present:
    """What a project's profile is now; `fault`: why it cannot be read."""

    name: str
    maker: Maker | None
    fault: str = ""


class _Search:
    """One request for many studies."""

    def __init__(self, runtime: Runtime, wanted: ReprocessWanted, actor: str) -> None:
        self._runtime, self._wanted, self._actor = runtime, wanted, actor
        self._present = {project.name: self._read(project.profile) for project in self._projects()}
        self._demand_version()

    def studies(self) -> Iterator[Study]:
        """Walk over the studies of the wanted projects that are behind the cursor."""
        after = int(self._wanted.cursor or 0)
        while page := self._runtime.ledger.made(after, PAGE):
            yield from (study for study in page if self._is_wanted(study))
            after = page[-1].id

    def take(self, study: Study) -> dict[str, Any] | None:
        """Have a study made anew and tell what became of it; None where the present profile has made it."""
        stored = self._runtime.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)
        present = self._present.get(study.project, _Present("", None, "the configuration no longer names its project"))
        before = made_by(study, stored, self._runtime.orthanc)
        if self._wanted.older and present.maker is not None and before == present.maker:
            return None
        reason = present.fault or why_not(self._runtime.intake, study, stored)
        if not (reason or self._wanted.dry_run):
            reason = self._begin(study)
        told = None if before is None else {"name": before.name, "version": before.version, "digest": before.digest}
        return {
            "source": study.address,
            "project": study.project,
            "made_by": told,
            "taken": reason is None,
            "reason": reason,
        }

    def _begin(self, study: Study) -> str | None:
        try:
            remake(self._runtime.intake, study, self._actor)
        except Conflict as error:
            return str(error)
        return None

    def _projects(self) -> list[Any]:
        projects = self._runtime.settings.configuration.projects
        if self._wanted.project is not None and self._wanted.project not in {p.name for p in projects}:
            raise _wrong("project", f"no project is called so (known: {', '.join(p.name for p in projects)})")
        return list(projects)

    def _read(self, profile: str) -> _Present:
        try:
            return _Present(profile, maker(profiles.load(self._runtime.settings, profile)))
        except ConfigurationError as error:
            return _Present(profile, None, str(error))

    def _is_wanted(self, study: Study) -> bool:
        wanted = self._wanted
        if wanted.project is not None and study.project != wanted.project:
            return False
        present = self._present.get(study.project)
        return wanted.profile is None or (present is not None and present.name == wanted.profile)

    def _demand_version(self) -> None:
        """Refuse where a profile is not the version that the outputs are to have."""
        wanted = self._wanted
        found = {
            present.maker
            for project, present in self._present.items()
            if present.maker and wanted.project in (None, project) and wanted.profile in (None, present.name)
        }
        if wanted.profile is not None and not found:
            raise _wrong("profile", "no project has a profile of that name that can be read")
        others = sorted(f"{m.name} is {m.version}" for m in found if m.version != wanted.version)
        if wanted.version is not None and others:
            raise _wrong("version", f"profiles of another version now: {', '.join(others)}")


def _wrong(field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", field), "msg": message}])
