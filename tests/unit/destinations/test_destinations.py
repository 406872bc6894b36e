"""The table of kinds and what loading it costs."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from orthanc_deid.destinations import KINDS
from orthanc_deid.settings import Configuration

PLUGIN = Path(__file__).resolve().parents[3] / "plugin"

LIBRARIES = ("fsspec", "s3fs", "paramiko", "flywheel", "oauthlib", "requests", "requests_toolbelt", "pydicom")

LOADED = f"""
import sys
import orthanc_deid.destinations
print(*(name for name in {LIBRARIES} if name in sys.modules))
"""


def test_the_table_of_kinds_brings_no_library_along() -> None:
    asked = [sys.executable, "-c", LOADED]
    done = subprocess.run(
        asked, check=False, env={"PYTHONPATH": str(PLUGIN)}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_class(kind: str) -> None:
    module, name = KINDS[kind]
    found = getattr(import_module(f"orthanc_deid.destinations.{module}"), name)
    assert {"check", "send", "confirm"} <= set(dir(found))


def test_each_kind_that_can_be_configured_is_in_the_table() -> None:
    schema = Configuration.model_json_schema()
    assert set(schema["properties"]["destinations"]["items"]["discriminator"]["mapping"]) == set(KINDS)
