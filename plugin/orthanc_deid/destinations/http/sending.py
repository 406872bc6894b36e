"""One group of instances on its way: asked after, made into a body, sent, remembered."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ...errors import Rejected
from ...formats import archives, names
from ...settings.http import Http, Question, Send, uses
from ...web import auth
from ...web.answer import refusal
from ...web.session import Answer, Body, Session, until
from ...web.template import fill
from ..base import Receipt, Shipment
from ..work import local_disk
from . import template
from .answer import holds, remote_id
from .pieces import Group, Plan
from .template import Thing

_MEDIA = {"dicom": "application/dicom", "zip": "application/zip", "png": "image/png", "jpeg": "image/jpeg"}
_SUFFIX = {"dicom": ".dcm", "zip": ".dcm", "png": ".png", "jpeg": ".jpg"}


class Client:
    """Sends requests made from templates, and proves who sends."""

    def __init__(self, settings: Http, session: Session) -> None:
        self.settings = settings
        self._session = session

    def ask(
        self,
        request: Send | Question,
        values: Mapping[str, str],
        body: Body | None = None,
        more: Mapping[str, str] | None = None,
        seconds: float = 3600,
    ) -> Answer:
        """Send one request; once more with another token where the log-in is refused."""
        url = template.address(str(self.settings.url), request.path, request.query, values)
        own = {**template.headers(request.headers, values), **(more or {})}
        return auth.authorized(
            self.settings,
            self._session,
            lambda proof: self._session.request(request.method, url, {**own, **proof}, body, seconds),
        )


class Sending:
    """The requests of one study, series or instance; `values` are its own, `end` is when its time is over."""

    def __init__(self, client: Client, shipment: Shipment, plan: Plan, values: Mapping[str, str], end: float) -> None:
        self._client, self._shipment, self._plan = client, shipment, plan
        self._settings = client.settings
        self._values, self._end = values, end

    def group(self, group: Group) -> None:
        """Send what has not arrived of a group; each request is remembered before the next."""
        for number, things in enumerate(group.things):
            if self._plan.arrived(group.digest, number):
                continue
            values = {**self._values, "picture_count": str(len(things))}
            if self._asks(group) and self._exists({**things[0].values, **values}):
                self._plan.note_arrived(group.digest, number, Receipt(0, group.digest))
                self._plan.note_done(group.digest, number)
                continue
            self._request(group, number, things, values)

    def _asks(self, group: Group) -> bool:
        """Answer whether a yes to `exists` means exactly one request of this content."""
        question = self._settings.exists
        return question is not None and not group.again and (len(group.things) == 1 or uses(question, "picture_number"))

    def _exists(self, values: Mapping[str, str]) -> bool:
        question = self._settings.exists
        if question is None:
            return False
        answer = self._client.ask(question, values)
        if answer.status in question.codes:
            return question.rule is None or holds(answer, question.rule)
        if answer.status in question.absent:
            return False
        raise refusal(answer)

    def _request(self, group: Group, number: int, things: list[Thing], values: Mapping[str, str]) -> None:
        send = self._settings.send
        seconds = until(self._end)
        out = self._shipment.work / f"{group.digest[:32]}.body"
        try:
            with local_disk():
                body = _body(send, things, values, out)
            key = f"{self._settings.name}\n{group.digest}\n{number}"
            more = {send.idempotency_header: hashlib.sha256(key.encode()).hexdigest()}
            answer = self._client.ask(send, values, body, more, seconds)
            size = body.size
        finally:
            out.unlink(missing_ok=True)
        known = answer.status in send.there_already
        receipt = Receipt(size, group.digest, self._taken(answer, known=known))
        self._plan.note_arrived(group.digest, number, receipt)
        if known and not receipt.remote:  # nobody can ask after it, and the far side has said that it is there
            self._plan.note_done(group.digest, number)
        self._shipment.pace.sent(size)

    def _taken(self, answer: Answer, *, known: bool) -> str:
        """Return the far side's id of what it has taken, or raise what its answer means."""
        send = self._settings.send
        if known:
            try:
                return remote_id(answer, send.remote) if send.remote is not None else ""
            except Rejected:
                return ""
        if answer.status not in send.codes:
            raise refusal(answer)
        if send.rule and not holds(answer, send.rule):
            raise Rejected(f"its answer ({answer.status}) does not hold what send.rule says")
        return remote_id(answer, send.remote) if send.remote is not None else ""


def _body(send: Send, things: list[Thing], values: Mapping[str, str], out: Path) -> Body:
    """Make the body of a request, in a file where it is not one already."""
    if send.body == "json":
        made = template.json_body(send.template, values, things, out)
        return template.FileBody(made.file, send.content_type or made.content_type)
    content_type = send.content_type or _MEDIA[send.content]
    files = _names(send, things)
    if send.content == "zip":
        archives.zip_files(dict(files), out)
        files = [("study.zip", out)]
    if send.body == "raw":
        return template.FileBody(files[0][1], content_type)
    fields = [(name, fill(text, values)) for name, text in (send.template or {}).items()]
    parts = [(name.rsplit("/", 1)[-1], path) for name, path in files]
    return template.FormBody(fields, send.file_field, parts, content_type)


def _names(send: Send, things: list[Thing]) -> list[tuple[str, Path]]:
    """Name the files from de-identified values; the second of a name gets a number."""
    found: dict[str, Path] = {}
    for thing in sorted(things, key=lambda t: sorted(t.values.items())):
        stem = names.fill(send.names, thing.values)
        name, number = stem + _SUFFIX[send.content], 1
        while name in found:
            number += 1
            name = f"{stem}-{number}{_SUFFIX[send.content]}"
        found[name] = thing.file
    return list(found.items())
