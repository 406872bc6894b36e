"""Settings of the kind `http`: any HTTP interface that a template can describe."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ..errors import ConfigurationError
from ..formats import names
from ..yaml_file import nearest, parse_yaml
from . import http_fields
from .delivery import Delivery
from .http_auth import Auth, HeaderName
from .http_fields import Level
from .model import File, Model, WebAddress

PRESETS = Path(__file__).resolve().parents[3] / "orthanc-config" / "http"
_OURS = frozenset(("authorization", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"))


def _pointer(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("a JSON pointer begins with /: /data/id")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise ValueError("not a regular expression") from None
    return text


def _path(text: str) -> str:
    if text and (not text.startswith("/") or "?" in text or "#" in text):
        raise ValueError("a path begins with / and has no ? or #: parameters belong into query")
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
Path_ = Annotated[str, AfterValidator(_path)]
Code = Annotated[int, Field(ge=200, le=599)]


class Rule(Model):
    """What an answer's JSON must hold."""

    pointer: Pointer = Field(description="JSON pointer (RFC 6901) of a value: /result/status; it must be there")
    equals: str | int | float | bool | None = Field(default=None, description="and be this")
    matches: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, description="and be a text that this regular expression matches as a whole"
    )


class Question(Model):
    """A request that asks and changes nothing."""

    method: Literal["GET", "HEAD"] = Field(default="GET", description="its method")
    path: Path_ = Field(default="", description="below url; fields in braces are percent-encoded")
    query: dict[str, str] = Field(default={}, description="parameters behind the ?; fields in braces")
    headers: dict[HeaderName, str] = Field(default={}, description="further headers; fields in braces")
    codes: tuple[Code, ...] = Field(default=(200, 204), min_length=1, description="status codes that mean yes")
    rule: Rule | None = Field(default=None, description="and what the answer must hold")

    @model_validator(mode="after")
    def _answerable(self) -> "Question":
        if self.method == "HEAD" and self.rule:
            raise ValueError("rule: an answer to HEAD has no body")
        return self


class Exists(Question):
    """Asked before sending: whether it is there already."""

    absent: tuple[Code, ...] = Field(default=(404,), min_length=1, description="status codes that mean no")


class Confirmation(Question):
    """Asked until the far side says that it is done; {remote} is its own id."""

    failed: Rule | None = Field(default=None, description="what its answer holds when it has refused for good")


class Send(Model):
    """The request that sends."""

    method: Literal["POST", "PUT"] = Field(default="POST", description="its method")
    path: Path_ = Field(default="", description="below url; fields in braces are percent-encoded")
    query: dict[str, str] = Field(default={}, description="parameters behind the ?; fields in braces")
    headers: dict[HeaderName, str] = Field(default={}, description="further headers; fields in braces")
    level: Level = Field(default="instance", description="one request for each study, series or instance")
    content: Literal["dicom", "zip", "png", "jpeg"] = Field(description="what is sent; zip: of DICOM files")
    body: Literal["json", "multipart", "raw"] = Field(description="how it is sent")
    template: Any = Field(
        default=None, description="json: the structure, fields in braces; multipart: the form's other fields by name"
    )
    file_field: str = Field(
        default="file", pattern=r"^[A-Za-z0-9_.\[\]-]{1,64}$", description="multipart: the name of the files' field"
    )
    names: str = Field(
        default="{SeriesInstanceUID}/{SOPInstanceUID}",
        description="names of files in a zip or form (there the last part), without suffix",
    )
    content_type: str | None = Field(
        default=None, pattern=r"^[ -~]{3,128}$", description="raw, json: instead of the usual one"
    )
    codes: tuple[Code, ...] = Field(default=(200, 201, 202, 204), min_length=1, description="codes of success")
    there_already: tuple[Code, ...] = Field(
        default=(), description="codes that say that it is there already, for example 409; as good as success"
    )
    rule: Rule | None = Field(default=None, description="what the answer must hold")
    remote: Pointer | None = Field(default=None, description="JSON pointer of the far side's own id in the answer")
    idempotency_header: HeaderName = Field(
        default="Idempotency-Key", description="header with a key that is the same when the same thing is sent again"
    )

    @model_validator(mode="after")
    def _possible(self) -> "Send":
        if self.body == "json":
            if self.content not in ("png", "jpeg") or self.template is None:
                raise ValueError("body: json sends png or jpeg by a template")
            http_fields.check_json(self.template, self.level)
        if self.body == "raw" and self.content != "zip" and self.level != "instance":
            raise ValueError("level: a raw body holds one instance; for more of them take content: zip")
        if self.body == "raw" and self.template is not None:
            raise ValueError("template: a raw body has none")
        if self.body == "multipart":
            self._check_form()
        names.check(self.names, "instance")
        return self

    def _check_form(self) -> None:
        form = {} if self.template is None else self.template
        if not isinstance(form, Mapping) or not all(isinstance(v, str) for v in form.values()):
            raise ValueError("template: of multipart are names with texts")
        for name, text in form.items():
            if not re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,64}", name):
                raise ValueError("template: a form's field is named by letters, digits, _ . - [ ]")
            http_fields.check(text, http_fields.allowed(self.level))


class Http(Delivery):
    """Any HTTP interface that a template can describe; redirections are never followed."""

    kind: Literal["http"] = Field(description="what the destination is")
    preset: str | None = Field(default=None, description="name of a template that is shipped: gateway")
    url: WebAddress = Field(description="where requests go, without the paths below it")
    auth: Auth | None = Field(default=None, description="how it is proved who sends; without: not at all")
    ca_file: File | None = Field(
        default=None, description="certificates that are trusted (PEM); without: the public authorities"
    )
    certificate_file: File | None = Field(default=None, description="our own certificate (PEM) for mutual TLS")
    key_file: File | None = Field(default=None, description="its private key (PEM); without: in the same file")
    proxy: WebAddress | None = Field(default=None, description="web proxy on the way; the environment's is not used")
    timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="seconds without progress, and for the whole answer, that are failure"
    )
    send: Send = Field(description="the request that sends")
    exists: Exists | None = Field(default=None, description="asked before sending; without: nothing is asked")
    confirm: Confirmation | None = Field(
        default=None, description="asked until it is done; without: an accepted request is the proof"
    )
    check_request: Question | None = Field(
        default=None,
        description="asked by a check; without: HEAD of url, where any answer but a refused log-in is good",
    )
    openapi_file: File | None = Field(default=None, description="OpenAPI 3 file of the far side: a check compares")
    operation_id: str | None = Field(default=None, description="the operation of it that the template is to match")

    @property
    def conversions(self) -> tuple[str, ...]:
        """What is sent beside DICOM instances: png, jpeg."""
        return (self.send.content,) if self.send.content in ("png", "jpeg") else ()

    @property
    def holds_dicom(self) -> bool:
        """Whether every instance is there in the end; pictures are no copy of a study."""
        return not self.conversions

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:  # noqa: ANN401  # whatever the file holds
        name = values.get("preset") if isinstance(values, Mapping) else None
        if not isinstance(name, str):
            return values
        known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
        if name not in known:
            raise ValueError(f"preset: there is none of that name{nearest(name, known)}")
        file = PRESETS / f"{name}.yaml"
        try:
            preset, _ = parse_yaml(file.read_text(encoding="utf-8"), file.name)
        except (OSError, ConfigurationError):
            raise ValueError(f"preset: {file.name} cannot be read") from None
        return _over(preset, values)

    @model_validator(mode="after")
    def _coherent(self) -> "Http":
        if self.url.username or self.url.password or self.url.query or self.url.fragment:
            raise ValueError("url: neither user, password nor parameters belong here: see auth and query")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        if bool(self.openapi_file) != bool(self.operation_id):
            raise ValueError("openapi_file and operation_id belong together")
        if self.exists and self.send.level != "instance":
            raise ValueError("exists: only with level: instance; whether a study is there does not say how much of it")
        if self.confirm and uses(self.confirm, "remote") and self.send.remote is None:
            raise ValueError("confirm: {remote} needs send.remote, which says where the answer holds it")
        known = http_fields.allowed(self.send.level)
        for where, request, fields in (
            ("send", self.send, known),
            ("exists", self.exists, (*known, "picture_number")),
            ("confirm", self.confirm, (*known, "remote")),
            ("check_request", self.check_request, ()),
        ):
            if request:
                _check_request(where, request, fields)
        return self


def _check_request(where: str, request: Send | Question, known: tuple[str, ...]) -> None:
    for name in request.headers:
        if name.lower() in _OURS:
            raise ValueError(f"{where}.headers: {name} is ours to set")
    for text in (request.path, *request.query.values(), *request.headers.values()):
        try:
            http_fields.check(text, known)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if any(not value.isprintable() for value in request.headers.values()):
        raise ValueError(f"{where}.headers: a value is one line")


def uses(request: Question, field: str) -> bool:
    """Answer whether a field stands in the address or headers of a request."""
    texts = (request.path, *request.query.values(), *request.headers.values())
    return any(piece.field == field for text in texts for piece in http_fields.pieces(text))


def _over(preset: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what the site writes over a preset: keys of `send` and its like one by one, a body template as a whole."""
    merged = dict(preset)
    for key, value in values.items():
        both = isinstance(value, Mapping) and isinstance(preset.get(key), Mapping)
        merged[key] = {**preset[key], **value} if both and key != "auth" else value
    return merged
