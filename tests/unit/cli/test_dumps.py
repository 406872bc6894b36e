"""`orthanc-deid move-dumps` as a person types it."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="orthanc-deid")


def test_dumps_are_moved_and_counted(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub-1" / "ses-1").mkdir(parents=True)
    (tmp_path / "data" / "sub-1" / "ses-1" / "00001-T1.csv").write_text("a")
    words = ("move-dumps", "-d", str(tmp_path / "data"), "--info-folder", str(tmp_path / "info"))
    first = run(*words)
    assert (first.exit_code, first.output) == (0, "1 moved, 0 not moved\n")
    assert (tmp_path / "info" / "sub-1" / "ses-1" / "00001-T1.csv").read_text() == "a"
    second = run("--json", *words)
    assert (second.exit_code, json.loads(second.output)) == (0, {"moved": 0, "kept": []})


def test_one_that_cannot_be_moved_is_named(tmp_path: Path) -> None:
    for folder, text in (("data", "a"), ("info", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mapper.json").write_text(text)
    told = run("move-dumps", "-d", str(tmp_path / "data"), "-o", str(tmp_path / "info"))
    assert (told.exit_code, told.output) == (3, "not moved, another is there: mapper.json\n0 moved, 1 not moved\n")


def test_both_folders_must_be_named(tmp_path: Path) -> None:
    assert run("move-dumps", "-d", str(tmp_path)).exit_code == 2
