"""The calls of a Flywheel site that we use, typed; each raises errors of ours (sdk.told)."""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...errors import NotFound, Rejected, Retriable
from .sdk import Taken, told

T = TypeVar("T")
_PAGE = 250
_TYPES = {".zip": "application/zip", ".gz": "application/gzip", ".json": "application/json"}


@dataclass(frozen=True)
class Container:
    """A project, subject, session or acquisition."""

    id: str
    label: str
    uid: str = ""


@dataclass(frozen=True)
class Place:
    """A session and what it is in."""

    project: str  # id
    subject: Container
    session: Container


@dataclass(frozen=True)
class RemoteFile:
    """What Flywheel says of a file."""

    name: str
    file_id: str
    version: int
    size: int | None
    digest: str | None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Site:
    """One connection (`sdk.client`)."""

    client: Any
    attempts: int = 3
    pause_s: float = 0.5

    def roles(self) -> list[str]:
        """Return the roles of the key's user; proves the log-in."""
        with told("asking who the key belongs to"):
            status = self.client.get_auth_status()
        return [str(getattr(role, "value", role)) for role in status.roles or ()]

    def group(self, group: str) -> None:
        """Look at the group; raises NotFound or Rejected where the key may not."""
        with told("looking at the group"):
            self.client.get_group(group)

    def create_project(self, group: str, label: str) -> None:
        """Make a project with the users of the group's permission template."""
        template = self.client.get_group(group).permissions_template or ()
        made = self.client.add_project({"group": group, "label": label}, inherit=True)
        there = {each.id for each in self.client.get_project(made).permissions or ()}
        for user in template:
            if user.id not in there:
                self.client.add_project_permission(made, user)

    def project(self, group: str, label: str) -> Container | None:
        """Return the project of that label."""
        with told("looking for the project"):
            return _one(self.client.get_group_projects(group, filter=_exactly(label), limit=2), label)

    def subject(self, project: str, label: str) -> Container | None:
        """Return the subject of that label."""
        with told("looking for the subject"):
            return _one(self.client.get_project_subjects(project, filter=_exactly(label), limit=2), label)

    def sessions(self, subject: str) -> list[Container]:
        """Return all sessions of a subject, the oldest first."""
        with told("listing sessions"):
            return self._all(self.client.get_subject_sessions, subject)

    def acquisitions(self, session: str) -> list[Container]:
        """Return all acquisitions of a session, the oldest first."""
        with told("listing acquisitions"):
            return self._all(self.client.get_session_acquisitions, session)

    def place(self, session: str) -> Place | None:
        """Return where a session is; None where it is gone."""
        try:
            with told("looking at the session"):
                found = self.client.get_session(session)
        except NotFound:
            return None
        subject = Container(str(found.parents.subject), str(found.subject.label or ""))
        return Place(str(found.parents.project), subject, _container(found))

    def files(self, acquisition: str) -> dict[str, RemoteFile] | None:
        """Return the files of an acquisition by name; None where the acquisition is gone."""
        try:
            with told("looking at an acquisition"):
                found = self.client.get_acquisition(acquisition)
        except NotFound:
            return None
        return {each.name: _file(each) for each in found.files or ()}

    def make(self, search: Callable[[], T | None], create: Callable[[], object], what: str) -> T:
        """Create what `search` does not find; the SDK does not repeat a POST, and we search before each one.

        Raises
        ------
        Retriable
            Neither in so many tries.
        """
        for attempt in range(self.attempts):
            found = search()
            if found is not None:
                return found
            try:
                with told(what):
                    create()
            except Taken:
                pass
            except Retriable:
                if attempt + 1 == self.attempts:
                    raise
                time.sleep(self.pause_s * 2**attempt)
        found = search()
        if found is None:
            raise Retriable(f"Flywheel does not show what it has made: {what}")
        return found

    def upload(self, acquisition: str, name: str, path: Path, end: float) -> RemoteFile:
        """Send a file, piece by piece, until `end` of the monotonic clock.

        The SDK asks whether the site wants signed URLs, and how many of them.
        """
        from flywheel import FileSpec

        with told("sending a file"), _Timed(path, end) as content:
            kind = _TYPES.get(path.suffix, "application/octet-stream")
            spec = FileSpec(name, contents=content, content_type=kind, size=path.stat().st_size)
            answer = self.client.upload_file_to_acquisition(acquisition, spec)
        for each in answer if isinstance(answer, list) else ():
            if each.name == name:
                return _file(each)
        raise Retriable("Flywheel does not say that it has taken the file")

    def describe(self, acquisition: str, name: str, modality: str | None, classes: Mapping[str, Sequence[str]]) -> None:
        """Set modality and classification of a file; what it is classified as otherwise stays."""
        if modality:
            with told("setting the modality of a file"):
                self.client.modify_acquisition_file(acquisition, name, {"modality": modality})
        if classes:
            with told("classifying a file (classification: false, where the site has classes of its own)"):
                body = {key: list(values) for key, values in classes.items()}
                self.client.set_acquisition_file_classification(acquisition, name, body)

    def set_info(self, acquisition: str, name: str, info: Mapping[str, Any]) -> None:
        """Write the keys into the info of a file; other keys of it stay."""
        with told("writing the info of a file"):
            self.client.set_acquisition_file_info(acquisition, name, dict(info))

    def _all(self, ask: Callable[..., Any], parent: str) -> list[Container]:
        found: list[Any] = []
        more: dict[str, str] = {}
        while True:
            page = ask(parent, limit=_PAGE, **more)
            found += page
            if len(page) < _PAGE:
                break
            more = {"after_id": page[-1].id}
        # An id begins with the time at which it was made.
        return sorted(map(_container, found), key=lambda each: each.id)


class _Timed(io.FileIO):
    """A file that cannot be read for ever: a line that lets one byte through now and then has no time-out."""

    def __init__(self, path: Path, end: float) -> None:
        super().__init__(path)
        self._end = end

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, while there is time."""
        if time.monotonic() > self._end:
            raise Retriable("the time for sending is over; what has arrived as a whole is not sent again")
        return super().read(-1 if size is None else size)


def _exactly(label: str) -> str:
    # Without quotes the site reads a label of digits as a number and one like 2020-01-31 as a date: never found.
    if '"' in label or "," in label:
        raise Rejected("a label of Flywheel holds a comma or a quotation mark: it cannot be looked for")
    return f'label="{label}"'


def _one(found: Any, label: str) -> Container | None:  # noqa: ANN401  # of the SDK
    exact = sorted((_container(each) for each in found if each.label == label), key=lambda each: each.id)
    return exact[0] if exact else None


def _container(found: Any) -> Container:  # noqa: ANN401  # of the SDK
    return Container(str(found.id), str(found.label or ""), str(found.get("uid", "") or ""))


def _file(found: Any) -> RemoteFile:  # noqa: ANN401  # of the SDK
    return RemoteFile(found.name, str(found.file_id), int(found.version or 0), found.size, found.hash, found.info or {})
