"""Write the generated parts of docs/*.md from the code: `python docs/write_reference.py`; `--check` only compares.

A part stands between `<!-- NAME: written by write_reference.py -->` and `<!-- end of NAME -->`; all else is written
by hand. tests/test_docs.py fails where a part is not what the code says.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import click
from pydantic import BaseModel

DOCS = Path(__file__).resolve().parent
CHECKOUT = DOCS.parent
sys.path.insert(0, str(CHECKOUT / "plugin"))

from reference_models import bounds, default, escaped, kind, sections, table  # noqa: E402

from orthanc_deid import profiles, states  # noqa: E402  # the path is set above
from orthanc_deid.cli.commands import main as cli  # noqa: E402
from orthanc_deid.confidentiality.profile import Profile  # noqa: E402
from orthanc_deid.confidentiality.rules import RuleAction  # noqa: E402
from orthanc_deid.confidentiality.standard.options import IMPLEMENTED, Option, code  # noqa: E402
from orthanc_deid.service import models  # noqa: E402
from orthanc_deid.service.app import build  # noqa: E402
from orthanc_deid.service.routes import ROUTES, Route  # noqa: E402
from orthanc_deid.service.runtime import Runtime  # noqa: E402
from orthanc_deid.settings import Configuration, load  # noqa: E402
from orthanc_deid.settings.bids import Template  # noqa: E402
from orthanc_deid.settings.etl import Etl  # noqa: E402

Schema = dict[str, Any]
WIDTH = 100  # columns of a help text


def commands() -> Iterator[str]:
    """Yield the help of the command line and of each command."""
    context = click.Context(cli, info_name="orthanc-deid", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    yield from _command(cli, context)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the help of a command and of those below it."""
    yield from (f"## {context.command_path}", "", "```text", command.get_help(context), "```", "")
    for name, below in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
        if not below.hidden:
            yield from _command(below, click.Context(below, context, name, terminal_width=WIDTH))


def run_help() -> Iterator[str]:
    """Yield what ./run and ./run demo say of themselves."""
    python = [sys.executable, "-m", "orthanc_deid.demo", "--help"]
    for title, words in (("./run", ["./run", "--help"]), ("./run demo", python)):
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT / "plugin"), "COLUMNS": str(WIDTH)}
        shown = subprocess.run(
            words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        text = shown.stdout.replace("python -m orthanc_deid.demo", "./run demo").replace("__main__.py", "./run demo")
        yield from (f"## {title}", "", "```text", text.rstrip(), "```", "")


def routes() -> Iterator[str]:
    """Yield each route: what it does, its parameters, answer and errors."""
    document = build(cast("Runtime", None), "").openapi()
    described = document["paths"]
    for route in ROUTES:
        yield from (
            f"### `{route.method} {route.path}`",
            "",
            escaped((route.function.__doc__ or "").split("\n")[0]),
            "",
        )
        if route.path not in described:
            yield from ("For the plugin alone: it cannot be reached through Orthanc.", "")
            continue
        rows = [
            (
                f"`{p['name']}`",
                p["in"],
                kind(p["schema"], {}),
                default(p["schema"]),
                bounds(p["schema"]),
                escaped(p["description"]),
            )
            for p in _parameters(described[route.path][route.method.lower()], document)
        ]
        if rows:
            yield from table(("parameter", "in", "kind", "default", "bounds", "meaning"), rows)
        errors = ", ".join(map(str, (*route.errors, 503)))
        yield from (f"Answers {_answer(route)}; errors {errors}.", "")


def _parameters(operation: Schema, document: Schema) -> Iterator[Schema]:
    """Yield the parameters of a route, and the fields of its body as others."""
    yield from operation.get("parameters", ())
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    reference = schema.get("$ref", "").rpartition("/")[2]
    body = document["components"]["schemas"][reference] if reference else schema
    for name, schema in body.get("properties", {}).items():
        yield {"name": name, "in": "JSON body", "schema": schema, "description": schema["description"]}


def _answer(route: Route) -> str:
    if route.model:
        return f"{route.status} with [{route.model.__name__}](#{route.model.__name__.lower()})"
    if route.path.endswith(".csv"):
        return f"{route.status} with a CSV file"
    return f"{route.status} with a file, or 202 while it is made"


def answers() -> Iterator[str]:
    """Yield the fields of every answer, and of what bodies hold."""
    answered = dict.fromkeys(route.model for route in ROUTES if route.model)
    for name, schema in _flattened(*answered, models.Problem, *_held_by_bodies()):
        base = _models()[name].__base__ or BaseModel
        told = getattr(base, "model_fields", {})
        rows = [
            (f"`{field}`", kind(s, {}) + (" or null" if _may_be_null(s) else ""), s["description"])
            for field, s in schema["properties"].items()
            if field not in told
        ]
        yield from (f"### {name}", "", schema["description"], "")
        if told:
            yield from (f"Every field of [{base.__name__}](#{base.__name__.lower()}), and:", "")
        yield from table(("field", "kind", "meaning"), rows)


def _held_by_bodies() -> list[type[BaseModel]]:
    """Return the models that stand in the bodies of requests, in a field of them."""
    document = build(cast("Runtime", None), "").openapi()
    schemas, reference = document["components"]["schemas"], re.compile(r"#/components/schemas/(\w+)")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    bodies = {n for o in operations for n in reference.findall(json.dumps(o.get("requestBody", {})))}
    held = {n for body in bodies for n in reference.findall(json.dumps(schemas[body]))}
    return [model for name, model in sorted(_models().items()) if name in held]


def _models() -> dict[str, type[BaseModel]]:
    """Return every model by its name, in whatever module it is."""
    found: dict[str, type[BaseModel]] = {}
    waiting = list(BaseModel.__subclasses__())
    while waiting:
        model = waiting.pop()
        if model.__module__.startswith("orthanc_deid.service"):
            found[model.__name__] = model
        waiting += model.__subclasses__()
    return found


ENUMS = {"Option": "name of an option, from the table above", "RuleAction": ", ".join(f"`{a}`" for a in RuleAction)}


def keys(model: type[BaseModel], title: str) -> Callable[[], Iterator[str]]:
    """Return what yields the keys of a file that a model reads."""
    return lambda: sections(model, title, ENUMS)


def moves() -> Iterator[str]:
    """Yield the moves between states."""
    rows = [
        (f"`{state}`", "yes" if state in states.ACTIVE else "", _codes(s for s in states.STATES if s in to))
        for state, to in states.MOVES.items()
    ]
    yield from table(("from", "at work", "to"), rows)


def shipped() -> Iterator[str]:
    """Yield the profiles in orthanc-config/profiles."""
    rows = []
    found = load({"ORTHANC_DEID_HOME": "/nonexistent"})
    for path in sorted((CHECKOUT / "orthanc-config" / "profiles").glob("*.yaml")):
        profile = profiles.load(found, path.stem)
        options = "<br>".join(profile.options) or "none"
        rows.append((f"`{profile.name}`", profile.version, profile.title, options))
    yield from table(("profile", "version", "what", "options"), rows)


def options() -> Iterator[str]:
    """Yield the options of the standard and whether they run."""
    rows = [(o.value, code(o)[0], "yes" if o in IMPLEMENTED else "not yet: refused in a profile") for o in Option]
    yield from table(("option", "code (CID 7050)", "runs today"), rows)


PARTS: dict[str, dict[str, Callable[[], Iterator[str]]]] = {
    "commands.md": {"run": run_help, "orthanc-deid": commands},
    "rest.md": {"routes": routes, "answers": answers},
    "settings.md": {"settings": keys(Configuration, "the file itself")},
    "conversion.md": {
        "bids": keys(Template, "the file bids/NAME.yaml"),
        "etl": keys(Etl, "the file bids/etl/NAME.yaml"),
    },
    "states.md": {"moves": moves},
    "profiles.md": {"shipped": shipped, "options": options, "keys": keys(Profile, "the file itself")},
}


def _flattened(*roots: Any) -> list[tuple[str, Schema]]:  # noqa: ANN401  # pydantic models
    """Return the models with those that they hold, each once, in the order of their first use."""
    found: dict[str, Schema] = {}
    for root in roots:
        schema = root.model_json_schema()
        held = schema.pop("$defs", {})
        order = [root.__name__]
        held[root.__name__] = schema
        for name in order:  # grows while it is walked
            found.setdefault(name, held[name])
            order += [n for n in re.findall(r"#/\$defs/(\w+)", json.dumps(held[name])) if n not in order]
    return list(found.items())


def _may_be_null(schema: Schema) -> bool:
    return {"type": "null"} in schema.get("anyOf", [])


def _codes(words: Iterator[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def rewritten(text: str, name: str, lines: Iterator[str]) -> str:
    """Return a page with one of its parts written anew; raise ValueError where the page has no place for it."""
    begin, end = f"<!-- {name}: written by write_reference.py -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, found_too, after = rest.partition(end)
    if not (found and found_too):
        raise ValueError(f"no place for {name}")
    body = "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()).rstrip()
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"


def main() -> int:
    """Write what has changed, or name it and answer 1 with --check."""
    stale = []
    for page, parts in PARTS.items():
        path = DOCS / page
        old = new = path.read_text(encoding="utf-8")
        for name, part in parts.items():
            new = rewritten(new, name, part())
        if new != old:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    if stale:
        sys.stdout.write(f"{'stale' if '--check' in sys.argv else 'written'}: {', '.join(stale)}\n")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
