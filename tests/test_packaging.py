"""What nobody imports: scripts, locks, images, licence."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("run", "test", ".ci/run", ".ci/lock", "tests/newer/run", "tests/newer/inside")
LOCKS = ("requirements.lock", "requirements-flywheel.lock", "requirements-test.lock")
SETTINGS = re.compile(r'"(ORTHANC_DEID_(?:HOME|CONFIG|[A-Z]+_PORT|DATABASE_URL|WORKERS))"')


def command(*words: str, **environment: str) -> str:
    finished = subprocess.run(
        words, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def named(*extras: str) -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = project["project"]["dependencies"] + project["build-system"]["requires"]
    for extra in extras:
        texts += project["project"]["optional-dependencies"][extra]
    return (Requirement(text) for text in texts)


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ()), (LOCKS[1], ("flywheel",)), (LOCKS[2], ("test",))])
def test_a_lock_holds_what_the_project_names(lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    wrong = [str(r) for r in named(*extras) if locked.get(canonicalize_name(r.name), "none") not in r.specifier]
    assert wrong == [], "run .ci/lock"


def test_each_lock_holds_the_one_before_it() -> None:
    first, second, third = (pins(lock).items() for lock in LOCKS)
    assert first <= second <= third, "run .ci/lock"


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (package, file) of everything that stands neither in Python's own library nor in this checkout."""
    ours = {path.stem for path in ROOT.glob("*/*.py")} | {"orthanc_deid", "orthanc"}  # Orthanc brings the latter
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours:
                yield name, str(path.relative_to(ROOT))


@pytest.mark.parametrize(("folder", "extras"), [("plugin", ("flywheel",)), ("tests", ("test",)), ("docs", ("test",))])
def test_what_is_imported_is_named_by_the_project(folder: str, extras: tuple[str, ...]) -> None:
    # What another library happens to bring goes away with it.
    brought = packages_distributions()
    known = {canonicalize_name(r.name) for r in named(*extras)}
    wrong = [i for i in imported(folder) if not known & {canonicalize_name(name) for name in brought.get(i[0], ())}]
    assert wrong == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for block in re.split(r"\n(?=[A-Za-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert not re.search(r"://|find-links|index-url|trusted-host", text)


def test_the_lock_of_the_node_servers_has_a_hash_for_everything_and_no_address_of_a_registry() -> None:
    packages = json.loads((ROOT / "tests/node/package-lock.json").read_text())["packages"]
    assert len(packages) > 2
    assert [name for name, about in packages.items() if name and "integrity" not in about] == []
    assert [name for name, about in packages.items() if "resolved" in about] == []


# Writes down what pip is to install, and believes whatever version it is asked for.
PIP = """#!/bin/sh
[ "$2" != pip ] || echo "$@" | grep -o 'requirements.*lock' >> installed || true
"""


def test_an_extra_that_was_once_asked_for_stays(tmp_path: Path) -> None:
    for name in ("setup.sh", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP)
    python.chmod(0o755)

    def installs(lock: str) -> list[str]:
        """Answer what one more set-up installs."""
        (tmp_path / "installed").write_text("")
        words = ["bash", "-euc", '. ./setup.sh; python_environment "$1"', "set-up", lock]
        subprocess.run(words, cwd=tmp_path, timeout=60, check=True, stdout=subprocess.DEVNULL)
        return (tmp_path / "installed").read_text().split()

    plain, flywheel, _ = LOCKS
    assert [installs(plain), installs(plain)] == [[plain], []]
    assert [installs(flywheel), installs(flywheel), installs(plain)] == [[flywheel], [], []]
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("# other versions\n")
    assert [installs(plain), installs(plain), installs(flywheel)] == [[flywheel], [], []]


def test_setup_refuses_an_extra_that_there_is_not() -> None:
    words = ["./run", "setup", "flywheal"]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert "./run setup flywheel" in finished.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_and_reads_well(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    command("shellcheck", "--external-sources", script)


def test_help_names_the_settings_that_design_promises() -> None:
    told = command("./run", "--help")
    sources = "".join(path.read_text() for path in (ROOT / "plugin/orthanc_deid/settings").glob("*.py"))
    names = set(SETTINGS.findall(sources))
    assert len(names) == 6
    assert [name for name in sorted(names) if name not in told] == []


def test_an_unknown_word_teaches_and_fails() -> None:
    finished = subprocess.run(["./run", "nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert "./run demo" in finished.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    command(str(Path(sys.executable).with_name("hadolint")), "Dockerfile")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer a folder with what the image is built from: what is committed and .dockerignore lets in."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    folder = tmp_path_factory.mktemp("image")
    for name in command("git", "ls-files", "-z").rstrip("\0").split("\0"):
        if name.partition("/")[0] in let_in and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def test_the_image_gets_all_that_its_recipe_copies(image: Path) -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [name for words in copied for name in words.split() if not (image / name).exists()] == []


# Whatever stands beside the package is asked for as the product does it.
SHIPPED = """
import json
from pathlib import Path
from orthanc_deid import profiles, settings
from orthanc_deid.settings import bids, etl, flywheel, http

here = Path.cwd()
assert settings.CHECKOUT == here, settings.CHECKOUT
site = settings.load({})
assert all(folder.is_relative_to(here) for folder in (site.profile_folders[-1], site.bids_folders[-1], http.PRESETS))
used = [here / "orthanc-config" / "deid.yaml", here / "orthanc-config" / "orthanc.json"]
for path in sorted(site.profile_folders[-1].glob("*.yaml")):
    assert profiles.load(site, path.stem)
    used.append(path)
for path in sorted(site.bids_folders[-1].glob("*.yaml")):
    assert bids.template(path.stem, site.bids_folders)
    used.append(path)
for path in sorted(site.bids_folders[-1].glob("etl/*.yaml")):
    assert etl.template(path)
    used.append(path)
for path in sorted(http.PRESETS.glob("*.yaml")):
    text = "destinations: [{kind: http, name: x, url: 'https://example.org', preset: %s}]" % path.stem
    (here / "deid.yaml").write_text(text)
    assert settings.load_file(here / "deid.yaml")
    used.append(path)
assert json.loads(flywheel.MAPPING.read_text())
print(json.dumps([str(path.relative_to(here)) for path in (*used, flywheel.MAPPING)]))
"""
# Named by path where they are used.
FOR_PEOPLE = ("orthanc-config/compose/", "orthanc-config/hooks/", "orthanc-config/http/openapi/")


def test_what_stands_beside_the_package_is_in_the_image_and_found_there(image: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
    environment |= {"PYTHONPATH": str(image / "plugin"), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", SHIPPED],
        cwd=image,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    shipped = command("git", "ls-files", "orthanc-config").splitlines()
    assert sorted(json.loads(finished.stdout)) == [name for name in shipped if not name.startswith(FOR_PEOPLE)]
    assert [name for name in shipped if not (image / name).exists()] == []


def compose() -> dict[str, Any]:
    """Ask Compose itself, whichever of its two forms is installed."""
    form = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    values: dict[str, Any] = yaml.safe_load(command(*form, "--profile", "postgres", "config"))
    return values


def test_compose_understands_its_file() -> None:
    assert set(compose()["services"]) == {"orthanc", "research", "worker", "postgres"}


def test_compose_publishes_on_loopback_and_holds_no_password() -> None:
    for service in compose()["services"].values():
        for port in service.get("ports", []):
            assert "127.0.0.1" in str(port)
        for name, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in name or str(value).startswith("/run/secrets/")


def test_the_licence_is_the_published_text() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    # Of agpl-3.0.txt as the Free Software Foundation publishes it.
    published = "0d96a4ff68ad6d4b6f1f30f713b18d5184912ba8dd389f86aa7710db079abcb0"
    assert hashlib.sha256(text).hexdigest() == published
