"""The folder of a run: a file for each step that is finished, and what the steps hand on to each other.

The text files have the names that they have in dicom-pipeline; the presence of one is its checkpoint.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import Rejected
from ..formats import atomic
from . import private
from .options import Options, options

SELECT, PULL, ANONYMIZE, HOOK, PUSH, MARK = "select", "pull", "anonymize", "hook", "push", "mark"
STEPS = (SELECT, PULL, ANONYMIZE, HOOK, PUSH, MARK)
CHECKPOINTS = {
    SELECT: "studies_to_retrieve.txt",
    PULL: "pull_output.txt",
    ANONYMIZE: "anonymize_output.txt",
    HOOK: "post_anon_output.txt",
    PUSH: "push_output.txt",
    MARK: "done.txt",
}
HOOK_PRACTICE = "post_anon_output_practice.txt"
OVERVIEW, COMMENTS, LOCK, RUN = "overview.txt", "comments.txt", ".lock", "run.json"
_NAME = re.compile(r"run_at_([0-9]{1,12})")


@dataclass(frozen=True)
class RunFolder:
    """One `run_at_<seconds since 1970>`."""

    path: Path

    @property
    def began(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(_seconds(self.path), UTC)

    @property
    def is_cleaned(self) -> bool:
        """Whether only its overview is left."""
        return not (self.path / RUN).exists()

    def options(self) -> Options:
        """Return what was asked for; raise Rejected where that was cleaned away."""
        if self.is_cleaned:
            raise Rejected(f"{self.path.name} was cleaned: only its overview is left")
        return options(self.read(RUN))

    def steps(self, asked: Options) -> tuple[str, ...]:
        """Return the steps of a run: what is permanent is left out of a practice."""
        return STEPS if asked.pushes else STEPS[: STEPS.index(PUSH)]

    def checkpoint(self, step: str, asked: Options) -> Path:
        """Return the file that says that a step is finished."""
        return self.path / (HOOK_PRACTICE if step == HOOK and asked.practice else CHECKPOINTS[step])

    def first_open(self, asked: Options) -> str | None:
        """Return the first step that is not finished; None: all are."""
        return next((step for step in self.steps(asked) if not self.checkpoint(step, asked).exists()), None)

    def read(self, name: str) -> Any:  # noqa: ANN401  # JSON that a step has written
        """Return what a step has written for those behind it."""
        return json.loads((self.path / name).read_bytes())

    def write(self, name: str, values: Any) -> None:  # noqa: ANN401  # JSON
        """Write something for the steps behind this one."""
        private.write_json(self.path / name, values)

    def note_options(self, asked: Options) -> None:
        """Write down what is asked for."""
        self.write(RUN, asked.values())


def create(runs: Path, asked: Options) -> RunFolder:
    """Make the folder of a new run; a run that begins in the same second gets the next one."""
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    seconds = int(time.time())
    while True:
        path = runs / f"run_at_{seconds}"
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            seconds += 1
            continue
        atomic.sync(runs)
        made = RunFolder(path)
        made.note_options(asked)
        return made


def every(runs: Path) -> list[RunFolder]:
    """Return the runs below a folder, newest first."""
    found = [path for path in runs.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)] if runs.is_dir() else []
    return [RunFolder(path) for path in sorted(found, key=_seconds, reverse=True)]


def newest(runs: Path) -> RunFolder:
    """Return the newest run that has begun; raise Rejected where there is none."""
    for each in every(runs):
        if not each.is_cleaned or (each.path / OVERVIEW).exists():
            return each
    raise Rejected(f"there is no run in {runs}: see --runs")


def named(runs: Path, name: str) -> RunFolder:
    """Return the run of that name, `run_at_1700000000` or its number alone."""
    wanted = name if name.startswith("run_at_") else f"run_at_{name}"
    for each in every(runs):
        if each.path.name == wanted:
            return each
    raise Rejected(f"there is no such run in {runs}: `orthanc-deid staging list` shows them")


def clean(folder: RunFolder) -> int:
    """Delete every file of a run but its overview; answer how many."""
    count = 0
    with private.locked(folder.path / LOCK):
        # run.json last: while it is there a run that was cleaned in part is cleaned again.
        for path in sorted(_files(folder.path), key=lambda path: path.name == RUN):
            path.unlink()
            count += 1
        for path in sorted(folder.path.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
    (folder.path / LOCK).unlink(missing_ok=True)
    return count


def _files(folder: Path) -> Iterator[Path]:
    kept = {folder / OVERVIEW, folder / LOCK}
    yield from (path for path in folder.rglob("*") if not path.is_dir() and path not in kept)


def _seconds(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0
