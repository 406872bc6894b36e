"""Comparing the template with the far side's own OpenAPI 3 description, before anything is sent."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ...errors import ConfigurationError
from ...settings.http import Http, Send
from ...settings.http_fields import PICTURES

_MEDIA = {"json": "application/json", "multipart": "multipart/form-data"}
_MOST_BYTES = 2**23
_DEEPEST = 40
_KINDS = {
    "string": str,
    "object": Mapping,
    "array": list | tuple,
    "boolean": bool,
    "integer": int,
    "number": int | float,
}


def compare(settings: Http) -> None:
    """Compare method, path, parameters and body of the template with the operation.

    Raises
    ------
    ConfigurationError
        They differ: every fault, one line each.
    """
    document = _read(settings.openapi_file)
    faults = list(_faults(settings, document))
    if faults:
        raise ConfigurationError("\n".join(f"openapi_file: {fault}" for fault in faults))


def _read(file: Path | None) -> Mapping[str, Any]:
    try:
        if file is None or file.stat().st_size > _MOST_BYTES:
            raise ConfigurationError("openapi_file: larger than 8 MB")
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"openapi_file: cannot be read ({type(error).__name__})") from None
    if not isinstance(document, Mapping) or not str(document.get("openapi", "")).startswith("3."):
        raise ConfigurationError("openapi_file: not an OpenAPI 3 description")
    return document


def _faults(settings: Http, document: Mapping[str, Any]) -> Iterator[str]:
    operation_id, send = settings.operation_id, settings.send
    found = _operation(document, operation_id or "")
    if not found:
        yield f"there is no operation {operation_id}"
        return
    path, method, operation, parameters = found
    if method != send.method.lower():
        yield f"{operation_id} is {method.upper()}, not {send.method}"
    if not _same_path(path, (settings.url.path or "").rstrip("/") + send.path):
        yield f"{operation_id} has the path {path}, not that of url and send.path"
    sent = {"query": {*send.query}, "header": {name.lower() for name in (*send.headers, send.idempotency_header)}}
    for parameter in parameters:
        where, name = parameter.get("in"), str(parameter.get("name"))
        key = name.lower() if where == "header" else name
        if parameter.get("required") and where in sent and key not in sent[where]:
            yield f"{operation_id} requires the {where} parameter {name}"
    yield from _body(document, operation, send)


def _operation(
    document: Mapping[str, Any], operation_id: str
) -> tuple[str, str, Mapping[str, Any], list[Mapping[str, Any]]] | None:
    for path, item in (document.get("paths") or {}).items():
        for method, operation in item.items():
            if isinstance(operation, Mapping) and operation.get("operationId") == operation_id:
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                return path, method, operation, [_resolved(document, each) for each in parameters]
    return None


def _same_path(theirs: str, ours: str) -> bool:
    """Compare segment by segment from the end: what is in front is the server's own prefix."""
    wanted, given = theirs.strip("/").split("/"), ours.strip("/").split("/")
    if len(given) < len(wanted):
        return False
    pairs = zip(wanted, given[len(given) - len(wanted) :], strict=True)
    return all(want == have or re.fullmatch(r"\{[^}]+\}", want) for want, have in pairs)


def _body(document: Mapping[str, Any], operation: Mapping[str, Any], send: Send) -> Iterator[str]:
    request = _resolved(document, operation.get("requestBody") or {})
    kinds: Mapping[str, Any] = request.get("content") or {}
    ours = send.content_type or _MEDIA.get(send.body) or f"application/{send.content}"
    if send.body == "multipart":
        ours = _MEDIA["multipart"]
    media = next((kinds[kind] for kind in (ours, ours.split("/")[0] + "/*", "*/*") if kind in kinds), None)
    if media is None:
        yield f"it takes {', '.join(map(str, kinds)) or 'no body'}, not {ours}"
    elif send.body == "json":
        yield from _differences(document, media.get("schema") or {}, send.template, "body")
    elif send.body == "multipart":
        form = {**(send.template or {}), send.file_field: ""}
        yield from _keys(document, media.get("schema") or {}, form, "body")


def _differences(
    document: Mapping[str, Any],
    schema: Mapping[str, Any],
    template: Any,  # noqa: ANN401  # JSON
    where: str,
    depth: int = 0,
) -> Iterator[str]:
    """Yield what a template lacks, has too much or has of another kind; oneOf and anyOf are not looked into."""
    schema = _resolved(document, schema)
    if depth > _DEEPEST:
        return
    for part in schema.get("allOf", ()):
        yield from _differences(document, part, template, where, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _KINDS and not _is(kind, template):
        yield f"{where} is {kind}; the template has another kind"
        return
    if isinstance(template, Mapping) and PICTURES not in template:
        yield from _keys(document, schema, template, where)
    for name, part, value in _parts(schema, template):
        yield from _differences(document, part, value, where + name, depth + 1)


def _parts(schema: Mapping[str, Any], template: Any) -> Iterator[tuple[str, Mapping[str, Any], Any]]:  # noqa: ANN401  # JSON
    """Yield name, schema and template of each part of an object or list."""
    items = schema.get("items") or {}
    if isinstance(template, Mapping) and PICTURES in template:
        yield "[]", items, template[PICTURES]
    elif isinstance(template, Mapping):
        properties = schema.get("properties") or {}
        yield from ((f".{name}", properties[name], value) for name, value in template.items() if name in properties)
    elif isinstance(template, list | tuple):
        yield from (("[]", items, value) for value in template)


def _keys(
    document: Mapping[str, Any], schema: Mapping[str, Any], template: Mapping[str, Any], where: str
) -> Iterator[str]:
    schema = _resolved(document, schema)
    for name in schema.get("required", ()):
        if name not in template:
            yield f"{where}.{name} is required"
    if schema.get("additionalProperties") is False:
        for name in template:
            if name not in (schema.get("properties") or {}):
                yield f"{where}.{name} is not known there"


def _is(kind: str, template: Any) -> bool:  # noqa: ANN401  # JSON
    if template == PICTURES or (isinstance(template, Mapping) and PICTURES in template):
        return kind == "array"
    if isinstance(template, str) and kind in ("integer", "number"):
        return re.fullmatch(r"\{[^{}:]+:d\}", template) is not None
    if isinstance(template, bool):
        return kind == "boolean"
    return isinstance(template, _KINDS[kind])


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    """Follow local references; one that leads elsewhere or nowhere is a fault of the file."""
    for _ in range(_DEEPEST):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if reference is None:
            return value
        if not str(reference).startswith("#/"):
            raise ConfigurationError("openapi_file: references to other files are not followed: join them in one")
        value = document
        for token in str(reference)[2:].split("/"):
            key = token.replace("~1", "/").replace("~0", "~")
            if not isinstance(value, Mapping) or key not in value:
                raise ConfigurationError("openapi_file: a reference leads nowhere")
            value = value[key]
    raise ConfigurationError("openapi_file: references run in a circle")
