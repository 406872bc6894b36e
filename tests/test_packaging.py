"""What nobody imports: scripts, locks, images, licence."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("run", "test", ".ci/run", ".ci/lock", "tests/newer/run", "tests/newer/inside")
LOCKS = ("requirements.lock", "requirements-test.lock")
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


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ()), (LOCKS[1], ("test",))])
def test_a_lock_holds_what_the_project_names(lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    wrong = [str(r) for r in named(*extras) if locked.get(canonicalize_name(r.name), "none") not in r.specifier]
    assert wrong == [], "run .ci/lock"


def test_both_locks_agree() -> None:
    assert pins(LOCKS[0]).items() <= pins(LOCKS[1]).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for block in re.split(r"\n(?=[A-Za-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert not re.search(r"://|find-links|index-url|trusted-host", text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_and_reads_well(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    command("shellcheck", "--external-sources", script)


def test_help_names_the_settings_that_design_promises() -> None:
    told = command("./run", "--help")
    for name in sorted(set(SETTINGS.findall((ROOT / "plugin/orthanc_deid/settings.py").read_text()))):
        assert name in told


def test_an_unknown_word_teaches_and_fails() -> None:
    finished = subprocess.run(["./run", "nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert "./run demo" in finished.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    command(str(Path(sys.executable).with_name("hadolint")), "Dockerfile")


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
