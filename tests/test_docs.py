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
from orthanc_deid.service.routes import ROUTES
from orthanc_deid.settings import Configuration
from servers import CHECKOUT

DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
VARIABLE = re.compile(r"ORTHANC_DEID_[A-Z_]*[A-Z]")
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
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    headings = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    dead = [link for link in links if not link.startswith("#") and not (path.parent / link.partition("#")[0]).exists()]
    dead += [link for link in links if link.startswith("#") and link[1:] not in headings]
    assert dead == []


def test_every_page_is_in_the_index() -> None:
    index = page("README.md")
    assert [p.name for p in DOCS.glob("*.md") if p.name != "README.md" and f"({p.name})" not in index] == []
