"""YAML files read into models; every fault is named by file, line and field, in the file's own words."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from .errors import ConfigurationError

ModelT = TypeVar("ModelT", bound=BaseModel)


def validated(model: type[ModelT], path: Path) -> ModelT:
    """Read a YAML file into a model; also used for profiles.

    Raises
    ------
    ConfigurationError
        `file:line: field: message`, a line for each fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: cannot be read ({type(error).__name__})") from None
    values, lines = parse_yaml(text, path.name)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = sorted(_fault(lines, values, e, model) for e in _causes(error))
        raise ConfigurationError("\n".join(f"{path.name}:{line}: {text}" for line, text in faults)) from None


Path_ = tuple[str | int, ...]


def parse_yaml(text: str, name: str) -> tuple[Any, dict[Path_, int]]:
    """Parse YAML with YAML 1.2's plain scalars; also answer the line (from 1) of every key and item.

    Raises
    ------
    ConfigurationError
        The text is not YAML, or a key stands twice.
    """
    try:
        node = yaml.compose(text, Loader=_Yaml12)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{name}:{line}: {error.problem}") from None
    lines: dict[Path_, int] = {}
    if node is None:
        return {}, lines
    _note_lines(node, (), lines, name)
    loader = _Yaml12("")
    try:
        return _frozen(loader.construct_document(node)), lines
    finally:
        loader.dispose()


class _Yaml12(yaml.SafeLoader):
    """YAML 1.1 reads `no` as false and `0123` as 83; only what looks like a value in 1.2 is one here."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own form


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _note_lines(node: yaml.Node, path: Path_, lines: dict[Path_, int], name: str) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = (*path, str(key.value))
            if where in lines:
                raise ConfigurationError(f"{name}:{key.start_mark.line + 1}: {key.value} stands twice")
            _note_lines(value, where, lines, name)
            lines[where] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*path, index), lines, name)


def _frozen(value: Any) -> Any:  # noqa: ANN401  # whatever YAML holds
    if isinstance(value, dict):
        return {k: _frozen(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_frozen(v) for v in value)
    return value


def _causes(error: ValidationError) -> list[Any]:
    """Leave out what only follows: a list whose items are faulty is not too short."""
    found = error.errors()
    return [
        e
        for e in found
        if e["type"] != "too_short"
        or not any(len(o["loc"]) > len(e["loc"]) and o["loc"][: len(e["loc"])] == e["loc"] for o in found)
    ]


# Kinds in the words of the file, not in Python's.
_KINDS = {
    "tuple_type": "should be a list: [a, b]",
    "model_type": "should be keys with values",
    "dict_type": "should be keys with values",
    "invalid_key": "should be a word",
    "bool_type": "should be true or false",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "string_type": "should be text; quote it if it looks like a number",
    "too_short": "should hold at least one",
    "missing": "is missing",
}


def _fault(lines: Mapping[Path_, int], values: Any, error: Any, model: type[BaseModel]) -> tuple[int, str]:  # noqa: ANN401  # YAML's values, pydantic's own dict
    where, tags = _without_tags(tuple(error["loc"]), values)
    message = _KINDS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key" + nearest(str(where[-1]), _fields_at(model, where[:-1], tags))
    elif error["type"] in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        message = "is none of the words that it can be" + nearest(str(error["input"]), words)
    elif error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        message = "is missing"
        if error["type"] == "union_tag_invalid":
            words = re.findall(r"'([^']*)'", error["ctx"]["expected_tags"])
            message = "is none of the words that it can be" + nearest(str(error["ctx"]["tag"]), words)
        where = (*where, error["ctx"]["discriminator"].strip("'"))
    at = where
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1), f"{'.'.join(map(str, where)) or 'file'}: {message}"


def _without_tags(where: Path_, values: Any) -> tuple[Path_, list[str]]:  # noqa: ANN401  # YAML's values
    """Drop from pydantic's path what only says which member of a union it was; answer these tags beside it."""
    kept: list[str | int] = []
    tags: list[str] = []
    for part in where:
        if isinstance(values, dict) and isinstance(part, str) and part not in values and part in values.values():
            tags.append(part)
            continue
        kept.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
    return tuple(kept), tags


def _fields_at(model: type[BaseModel], where: Path_, tags: Sequence[str]) -> list[str]:
    found: Any = model
    for part in where:
        if isinstance(part, int):
            continue
        field = getattr(found, "model_fields", {}).get(part)
        found = _model_in(field.annotation, tags) if field else None
    return list(getattr(found, "model_fields", {}))


def _model_in(annotation: Any, tags: Sequence[str]) -> Any:  # noqa: ANN401  # a typing construct
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("kind")
        return annotation if kind is None or get_args(kind.annotation)[0] in tags else None
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument, tags)
        if found is not None:
            return found
    return None


def nearest(name: str, known: list[str]) -> str:
    """Say which known name was perhaps meant."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})" if known else ""
