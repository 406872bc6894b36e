"""main.py as Orthanc runs it, in a process of its own, with the stand-in for the embedded module."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from instances import instance
from servers import CHECKOUT, MAIN

CODE = """
import json, runpy, sys
sys.path[:0] = [{plugin!r}, {tests!r}]
import fake_orthanc
sys.modules["orthanc"] = fake_orthanc
before = set(sys.modules)
runpy.run_path({main!r})
registered = fake_orthanc.REGISTERED
with open({dicom!r}, "rb") as file:
    answer = registered["received"](file.read(), 3)
new = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})
stored = (answer[1] or b"").decode("latin-1")
found = {{"modules": new, "registered": sorted(registered), "answer": answer[0], "rest": registered["rest"][0]}}
print(json.dumps(found | {{"stored": stored, "explorer": registered["explorer"]}}))
"""


UNWANTED = {"numpy", "yaml", "sqlalchemy", "dbos", "fastapi", "requests", "PIL", "gdcm", "pylibjpeg", "openjpeg"}
PAGES = MAIN.parent / "orthanc_deid" / "pages"
ON_ARRIVAL = "intake: {on_arrival: true}\nprojects: [{name: default, profile: basic}]\n"


def run(folder: Path, deid: str) -> subprocess.CompletedProcess[str]:
    (folder / "deid.yaml").write_text(deid)
    (folder / "x.dcm").write_bytes(instance())
    tests = str(CHECKOUT / "tests")
    code = CODE.format(plugin=str(MAIN.parent), tests=tests, main=str(MAIN), dicom=str(folder / "x.dcm"))
    environment = {
        "ORTHANC_DEID_HOME": str(folder),
        "ORTHANC_DEID_CONFIG": str(folder / "deid.yaml"),
        "ORTHANC_DEID_PYTHON": sys.executable,
        "TMPDIR": str(folder),
    }
    # -S: without site-packages, as the Python embedded in Orthanc
    return subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    done = run(tmp_path, "{}")
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_every_callback_is_registered_and_the_door_lets_an_instance_in(found: dict[str, Any]) -> None:
    assert found["registered"] == ["change", "explorer", "received", "rest"]
    assert found["rest"] == "/deid/(.*)"
    assert found["answer"] == 1


def test_every_script_of_the_pages_is_given_to_orthanc_explorer_each_after_what_it_uses(found: dict[str, Any]) -> None:
    names = {path.name for path in PAGES.glob("explorer*.js")}
    order = [f"explorer{n}.js" for n in ("_service", "_dialogs", "_decisions", "_state", "", "_rows", "_overview")]
    assert names == set(order)
    texts = [(PAGES / name).read_text() for name in order]
    places = [found["explorer"].find(text.strip()) for text in texts]
    assert places == sorted(places)
    assert places[0] >= 0


@pytest.mark.parametrize("name", sorted(path.name for path in PAGES.glob("*.js")))
def test_a_script_of_the_pages_is_of_the_edition_that_every_browser_reads(name: str) -> None:
    node = Path(sys.executable).with_name("node")
    acorn = "require('internal/deps/acorn/acorn/dist/acorn')"  # the parser that node has in it
    parse = f"{acorn}.parse(require('fs').readFileSync(0, 'utf8'), {{ecmaVersion: 5}})"
    done = subprocess.run(
        [node, "--no-warnings", "--expose-internals", "--eval", parse],
        input=(PAGES / name).read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_only_the_standard_library_and_pydicom_are_loaded_into_orthanc(found: dict[str, Any]) -> None:
    foreign = set(found["modules"]) - set(sys.stdlib_module_names)
    assert foreign == {"orthanc_deid", "pydicom"}


def test_wrong_settings_stop_the_load(tmp_path: Path) -> None:
    done = run(tmp_path, "limits:\n  instance_byte: 1\n")
    assert done.returncode == 1
    assert "deid.yaml:2: limits.instance_byte: unknown key" in done.stderr


def test_on_arrival_the_output_is_stored_and_neither_numpy_nor_yaml_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ab" * 32)
    done = run(tmp_path, ON_ARRIVAL)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answer"] == 2
    assert "DICM" in found["stored"]
    assert "Test^One" not in found["stored"]
    assert "pydantic" in found["modules"]
    assert UNWANTED & set(found["modules"]) == set()


@pytest.mark.parametrize("key", [None, "", "\n", "not hexadecimal"])
def test_without_a_key_nothing_is_loaded_that_could_take_an_instance(tmp_path: Path, key: str | None) -> None:
    if key is not None:
        (tmp_path / "key").write_text(key)
    done = run(tmp_path, ON_ARRIVAL)
    assert done.returncode == 1
    assert "key " in done.stderr
    assert "not hexadecimal" not in done.stderr
