"""Whatever the product has is in docs/, and what docs/ has the product has."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import click
import pytest
import yaml
from pydantic import BaseModel

from orthanc_deid import states
from orthanc_deid.cli.commands import main
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.standard.options import IMPLEMENTED, Option
from orthanc_deid.destinations import KINDS
from orthanc_deid.service.routes import ROUTES
from orthanc_deid.settings import Configuration, load_file
from orthanc_deid.settings.bids import Template
from orthanc_deid.settings.etl import Etl
from orthanc_deid.yaml_file import validated
from servers import CHECKOUT

DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
VARIABLE = re.compile(r"ORTHANC_DEID_[A-Z_]*[A-Z]")
YAML_BLOCKS = [
    (f"{path.relative_to(CHECKOUT)}-{number}", block)
    for path in (*PAGES, CHECKOUT / "README.md")
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE), 1)
]
SOURCES = ("run", "setup.sh", "test", "Dockerfile", "docker-compose.yml", "orthanc-config/**/*", "lua/*")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def models(root: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  # an annotation
    """Yield a model and all that its fields hold."""
    if isinstance(root, type) and issubclass(root, BaseModel):
        yield root
        for field in root.model_fields.values():
            yield from models(field.annotation)
    elif isinstance(root, UnionType) or get_args(root):
        for part in get_args(root):
            yield from models(part)


def variables() -> set[str]:
    """Answer every environment variable that the product's files name."""
    files = [path for pattern in SOURCES for path in CHECKOUT.glob(pattern) if path.is_file()]
    files += (CHECKOUT / "plugin").rglob("*.py")
    return {name for path in files for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def test_the_generated_parts_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "write_reference.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), f"run docs/write_reference.py: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", [name for name, command in main.commands.items() if not command.hidden])
def test_every_command_and_option_is_told(name: str) -> None:
    for path, command in below(name, main.commands[name]):
        part = page("commands.md").partition(f"## orthanc-deid {path}\n")[2].partition("\n## ")[0]
        assert part
        options = [o for p in command.params if isinstance(p, click.Option) for o in p.opts]
        assert [option for option in options if option not in part] == []


def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and, where it is a group, those in it."""
    yield path, command
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from below(f"{path} {name}", inner)


def test_every_option_before_the_command_is_told() -> None:
    part = page("commands.md").partition("## orthanc-deid\n")[2].partition("\n## ")[0]
    assert [o for p in main.params for o in p.opts if o not in part] == []


def test_every_word_of_run_is_told() -> None:
    script = (CHECKOUT / "run").read_text()
    words = set(re.findall(r"^    ([a-z |]+)\)", script, re.MULTILINE))
    names = {word.strip() for line in words for word in line.split("|")} - {"product"}
    assert {"demo", "worker", "setup", "secrets", "archive"} <= names
    assert [name for name in names - {"help"} if f"./run {name}" not in page("commands.md")] == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_told(route: Any) -> None:  # noqa: ANN401  # a Route
    assert f"### `{route.method} {route.path}`\n" in page("rest.md")


@pytest.mark.parametrize("model", [*dict.fromkeys(models(Configuration))], ids=lambda model: model.__name__)
def test_every_setting_is_told_and_explained(model: type[BaseModel]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", page("settings.md"), re.MULTILINE)
    told = dict(rows)
    assert [key for key in model.model_fields if not told.get(key)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_settings_an_example_and_its_proof(kind: str) -> None:
    assert f"### destinations[] of kind {kind}\n" in page("settings.md")
    part = page("destinations.md").partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    assert "```yaml\n" in part
    assert f"kind: {kind}\n" in part
    assert "**Confirmed**" in part or "proof" in part
    assert "**Twice**" in part
    assert f"[`{kind}`](#{kind})" in page("destinations.md")


@pytest.mark.parametrize("model", [Template, Etl], ids=["bids", "etl"])
def test_every_key_of_a_rule_set_is_told(model: type[BaseModel]) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", page("conversion.md"), re.MULTILINE))
    assert [key for each in models(model) for key in each.model_fields if not told.get(key)] == []


@pytest.mark.parametrize(("where", "text"), YAML_BLOCKS, ids=[where for where, _ in YAML_BLOCKS])
def test_every_example_is_accepted(where: str, text: str, tmp_path: Path) -> None:
    keys = set(yaml.safe_load(text))
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    if keys <= set(Configuration.model_fields):
        load_file(file)
    elif "rules" in keys and "profile" not in where:
        assert validated(Template, file).rules
    else:
        assert validated(Profile, file).name


def test_every_commented_example_of_the_shipped_file_is_accepted(tmp_path: Path) -> None:
    shipped = (CHECKOUT / "orthanc-config" / "deid.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^(destinations|sources): \[\]\n#", r"\1:\n#", shipped, flags=re.MULTILINE)
    text = re.sub(r"^#(  - kind: |    [a-z_]+: )", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^# ((?:conversion|retention):|  [a-z_]+: )", r"\1", text, flags=re.MULTILINE)
    text = re.sub(
        r"^    # ((?:convert|match|completeness):|  (?:modality|source|ae): )", r"    \1", text, flags=re.MULTILINE
    )
    text = re.sub(r"^  # ((?:completeness|senders): )", r"  \1", text, flags=re.MULTILINE)
    file = tmp_path / "deid.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = load_file(file)
    assert {each.kind for each in loaded.destinations} == set(KINDS)
    assert loaded.retention.free_bytes
    assert loaded.conversion.nifti.cross_check
    assert {each.kind for each in loaded.sources} == {"pacs", "dicomweb", "orthanc", "folder", "object-store"}
    assert loaded.projects[0].convert
    assert loaded.projects[0].completeness
    assert loaded.projects[0].match.ae
    assert loaded.intake.senders
    assert loaded.intake.completeness.quiet_s


@pytest.mark.parametrize("path", [*PAGES, CHECKOUT / "README.md"], ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_command_and_route_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = {" ".join(words) for name, command in main.commands.items() for words, _ in named(name, command)}
    for words in re.findall(r"`orthanc-deid ((?:[a-z][a-z-]+ ?)+)", text):
        assert any(" ".join(words.split()[:n]) in known for n in (1, 2)), words
    routes = {(route.method, route.path) for route in ROUTES}
    for method, route in re.findall(r"`(GET|POST) (/deid/[^`?]*)(?:\?[^`]*)?`", text):
        generic = re.sub(r"\{\w+\}", "{}", route)
        assert (method, generic) in {(m, re.sub(r"\{\w+\}", "{}", r)) for m, r in routes}, route


def named(path: str, command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    """Yield the words of a command and of those in it."""
    for each, found in below(path, command):
        yield each.split(), found


def test_every_setting_of_the_shipped_file_exists_and_its_comment_tells_the_default() -> None:
    shipped = yaml.safe_load((CHECKOUT / "orthanc-config" / "deid.yaml").read_text())
    defaults = Configuration().limits
    assert {key: getattr(defaults, key) for key in shipped["limits"]} == shipped["limits"]


def test_every_variable_is_told_and_every_one_that_is_told_exists() -> None:
    told = set(VARIABLE.findall(page("settings.md")))
    assert sorted(variables() - told) == []
    assert sorted(set().union(*(VARIABLE.findall(p.read_text()) for p in PAGES)) - variables()) == []


def test_every_state_is_told_with_what_to_do() -> None:
    meanings = page("states.md").partition("## Moves")[0]
    told = re.findall(r"^\| `(\w+)`\s*\|[^|]+\|[^|]+\|$", meanings, re.MULTILINE)
    assert told == ["received", "waiting", *[s for s in told if s not in ("received", "waiting")]]
    assert set(told) == set(states.STATES)
    assert len(told) == len(states.STATES)


def test_every_state_of_a_destination_and_of_an_instance_is_told() -> None:
    _, _, rest = page("states.md").partition("## Of a destination")
    destinations, _, instances = rest.partition("## Of an instance")
    for state in (states.PENDING, states.SENT, states.CONFIRMED, states.UNDELIVERED):
        assert f"| `{state}`" in destinations
    for state in (states.INSTANCE_RECEIVED, states.INSTANCE_DEIDENTIFIED, states.INSTANCE_QUARANTINED):
        assert f"`{state}`" in instances


def test_every_profile_option_and_key_is_told() -> None:
    text = page("profiles.md")
    shipped = [path.stem for path in (CHECKOUT / "orthanc-config" / "profiles").glob("*.yaml")]
    assert [name for name in shipped if f"| `{name}` |" not in text] == []
    for option in Option:
        row = next(line for line in text.splitlines() if line.startswith(f"| {option.value} |"))
        assert row.endswith("| yes |") == (option in IMPLEMENTED)
    keys = [key for model in models(Profile) for key in model.model_fields]
    assert [key for key in keys if not re.search(rf"^\| `{key}`\s*\|", text, re.MULTILINE)] == []


def test_the_example_of_a_profile_is_one() -> None:
    example = re.findall(r"```yaml\n(name: .*?)```", page("profiles.md"), re.DOTALL)
    assert len(example) == 1
    values = yaml.safe_load(example[0])
    assert Profile.model_validate_json(json.dumps(values)).name == "trial-7"


@pytest.mark.parametrize("path", [*PAGES, CHECKOUT / "README.md"], ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")) if "://" not in link]
    dead = []
    for link in links:
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def anchors(path: Path) -> set[str]:
    """Answer the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = page("README.md")
    assert [p.name for p in DOCS.glob("*.md") if p.name != "README.md" and f"({p.name})" not in index] == []
