"""The keys of a YAML file as tables: a section for each pydantic model that reads it, headed by where it stands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

CHECKOUT = Path(__file__).resolve().parent.parent
Schema = dict[str, Any]
Model = type[BaseModel]

WORDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
FORMATS = {"path": "path", "uri": "web address"}
SCALARS = {"string", "integer", "number", "boolean"}
# Models that only others are made of, and what is shared by them.
BASES = {
    "Paced": "destinations[] and sources[] of every kind",
    "Delivery": "destinations[] of every kind",
    "Files": "destinations[] of kind folder or object-store",
    "Source": "sources[] of every kind",
    "Archive": "sources[] of kind pacs or dicomweb",
    "Incoming": "sources[] of kind folder or object-store",
    "DicomNode": "kind dicom, pacs, and kind karnak: dicom",
    "DicomwebServer": "kind dicomweb, and kind karnak: dicomweb",
    "OrthancNode": "kind orthanc-peer and orthanc",
    "Store": "kind object-store: address and log-in",
}


def sections(root: Model, title: str, enums: Mapping[str, str]) -> Iterator[str]:
    """Yield a section for each model that `root` holds, itself first; `enums` tells what stands for an enumeration."""
    places = _places(root, title)
    for model, found in places.items():
        schema = model.model_json_schema()
        yield from (f"### {found[0]}", "", escaped(schema["description"]), "")
        if len(found) > 1:
            yield from (f"The same: {', '.join(found[1:])}.", "")
        bases = [base for base in model.__bases__ if base in places]
        if bases:
            told = ", ".join(f"[{places[base][0]}](#{slug(places[base][0])})" for base in bases)
            yield from (f"Every key of {told}, and:", "")
        inherited = {key for base in bases for key in base.model_fields}
        rows = [
            (
                f"`{key}`",
                _linked(model, key, part, places, enums),
                "**required**" if key in schema.get("required", ()) else default(part),
                bounds(part),
                escaped(part["description"]),
            )
            for key, part in schema.get("properties", {}).items()
            if key not in inherited or key in model.__annotations__
        ]
        if rows:
            yield from table(("key", "kind", "default", "bounds", "meaning"), rows)


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "_-")


def _places(root: Model, title: str) -> dict[Model, list[str]]:
    """Return each model and where it stands in the file, a base before what is made of it."""
    found: dict[Model, list[str]] = {}
    _walk(root, "", found)
    found[root] = [title]
    return {
        model: [BASES[model.__name__]] if model.__name__ in BASES else list(dict.fromkeys(places))
        for model, places in found.items()
    }


def _walk(model: Model, place: str, found: dict[Model, list[str]]) -> None:
    for base in reversed(model.__mro__[1:]):
        if issubclass(base, BaseModel) and any(key in base.__annotations__ for key in base.model_fields):
            found.setdefault(base, [])
    found.setdefault(model, []).append(place)
    for key, field in model.model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for held, suffix in _held(annotation):
            within = f"{place}{'' if place.endswith(': ') or not place else '.'}{key}{suffix}"
            kind = held.model_fields.get("kind")
            if kind and place == "":
                _walk_kind(held, within, get_args(kind.annotation)[0], found)
            else:
                more = f" of kind {get_args(kind.annotation)[0]}" if kind else ""
                _walk(held, within + more, found)


def _walk_kind(model: Model, place: str, kind: str, found: dict[Model, list[str]]) -> None:
    """Walk over a kind of destination or source, whose own keys are named after it."""
    inner: dict[Model, list[str]] = {}
    _walk(model, f"kind {kind}: ", inner)
    inner[model] = [f"{place} of kind {kind}"]
    for each, places in inner.items():
        found.setdefault(each, []).extend(places)


def _held(annotation: Any, suffix: str = "") -> Iterator[tuple[Model, str]]:  # noqa: ANN401  # an annotation
    """Yield the models in an annotation, with [] behind those of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
        return
    for part in get_args(annotation):
        yield from _held(part, "[]" if get_origin(annotation) is tuple else suffix)


def _linked(model: Model, key: str, schema: Schema, places: Mapping[Model, list[str]], enums: Mapping[str, str]) -> str:
    """Name the kind of a value; models by links to their sections."""
    held = [each for each, _ in _held(model.model_fields[key].annotation)]
    if not held:
        return kind(schema, enums)
    many = "list of " if get_origin(model.model_fields[key].annotation) is tuple else ""
    kinds = [each.model_fields.get("kind") for each in held]
    if all(kinds) and len(held) > 1:
        links = [
            f"[{get_args(field.annotation)[0]}](#{slug(places[each][0])})"
            for each, field in zip(held, kinds, strict=True)
            if field
        ]
        return f"{many}keys, by `kind`: {', '.join(links)}"
    links = [f"[keys](#{slug(places[each][0])})" for each in held]
    more = kind(schema, enums) if "additionalProperties" in schema else ""
    return f"keys with {', '.join(links)}, or {_values(schema, enums)}" if more else many + ", ".join(links)


def _values(schema: Schema, enums: Mapping[str, str]) -> str:
    """Name what stands beside a model as a value of free keys."""
    parts = schema["additionalProperties"].get("anyOf", [])
    return " or ".join(kind(part, enums) for part in parts if "$ref" not in part)


def kind(schema: Schema, enums: Mapping[str, str]) -> str:
    """Name the kind of a value in the words of the file."""
    parts = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    if {part.get("type") for part in parts} >= SCALARS:
        more = [kind(part, enums) for part in parts if part.get("type") not in SCALARS]
        return ", or ".join(["text, number, true or false", *more])
    if len(parts) > 1:
        return " or ".join(dict.fromkeys(kind(part, enums) for part in parts))
    return _one_kind(parts[0], enums)


def _one_kind(schema: Schema, enums: Mapping[str, str]) -> str:
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return enums.get(name) or f"[{name}](#{name.lower()})"
        case {"const": word}:
            told = f"`{word}`"
        case {"enum": words}:
            told = ", ".join(f"`{word}`" for word in words)
        case {"prefixItems": items}:
            told = f"list of {len(items)} {kind(items[0], enums)}s"
        case {"items": items}:
            told = f"list of {kind(items, enums)}"
        case {"additionalProperties": dict(values)}:
            told = f"keys with {kind(values, enums)}"
        case {"patternProperties": patterns}:
            told = f"keys with {kind(next(iter(patterns.values())), enums)}"
        case {"type": "object"}:
            told = "keys"
        case _:
            told = FORMATS.get(schema.get("format", ""), WORDS.get(schema.get("type", ""), "any"))
    return told


def default(schema: Schema) -> str:
    """Tell the default of a value."""
    value = schema.get("default")
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, dict):
        return "see there"
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return ", ".join(f"`{word}`" for word in value)
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "one that takes every study"
    return f"`{json.dumps(value)}`".replace(f"{CHECKOUT}/", "")


def bounds(schema: Schema) -> str:
    """Tell between what a value must be."""
    schema = next((s for s in schema.get("anyOf", []) if s.get("type") != "null"), schema)
    least, most, above = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
    told = [f"from {least:g}" if least is not None else "", f"above {above:g}" if above is not None else ""]
    told += [f"to {most:g}" if most is not None else ""]
    told += [
        f"`{schema['pattern']}`" if "pattern" in schema else "",
        "at least one" if schema.get("minItems") == 1 else "",
    ]
    return " ".join(filter(None, told))


def escaped(text: str) -> str:
    """Return text of which Markdown makes neither HTML nor emphasis; what stands in backticks does not need it."""
    parts = text.split("`")
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;").replace("*", "\\*") for number, part in enumerate(parts)
    )


def table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield a table."""
    for row in (heading, ("---",) * len(heading), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""
