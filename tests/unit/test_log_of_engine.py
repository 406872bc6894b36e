import os
import subprocess
import sys
from pathlib import Path

from servers import CHECKOUT

SCRIPT = """
import logging, sys
from orthanc_deid import engine, log
log.set_up("test")
engine.launch(sys.argv[1], "host-0", 1, lambda step, job: engine.END)
for name in (*log.QUIET, "orthanc_deid.other", "elsewhere"):
    try:
        raise ValueError("Zyxwvut")
    except ValueError:
        logging.getLogger(name).exception("of Zyxwvut")
engine.stop(1)
"""


def test_texts_of_libraries_are_not_logged_also_after_the_engine_has_started(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path / 'deid.sqlite'}"],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT / "plugin")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert "Zyxwvut" not in done.stdout + done.stderr
    assert all(line.startswith("{") for line in lines)
    assert sum('"message of a library", "error": "dbos"' in line for line in lines) == 1
