"""Ask a site's hook which studies may be pushed: in a process of its own, its answer checked before it is believed."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import Rejected
from .hook_protocol import Study
from .private import private_file

LOG, ANSWER = "hook_log.txt", "hook_answer.json"
NO_ENCOUNTER = "no_encounter"  # hooks of the older form put there what is refused
REFUSED = "refused by the hook"
REASON_LENGTH = 200
_CHILD = Path(__file__).with_name("hook_child.py")
# The folder of this package must not stand on the path of another Python: its names could hide that one's own.
_START = (
    "import sys; sys.path[0] = sys.argv[1]; import runpy; path = sys.argv[2]; runpy.run_path(path, run_name='__main__')"
)
_SEE = f"see {LOG} in the folder of the run"


@dataclass(frozen=True)
class Hook:
    """Which hook, by which Python, for how long (s)."""

    file: Path
    python: str
    timeout_s: float


@dataclass(frozen=True)
class Answer:
    """Reasons by study, empty where it may be pushed; notes for the overview; what an older hook returned."""

    reasons: Mapping[str, str]
    notes: Sequence[str] = ()
    text: str = ""


def ask(hook: Hook, folder: Path, studies: Sequence[Study], *, practice: bool, hold: int) -> Answer:
    """Run the hook and return what it answers; `hold` is a file handle that it keeps open while it lives.

    Raises
    ------
    Rejected
        It failed, took too long, or answers otherwise than the protocol says.
    """
    asked = {"folder": str(folder), "practice": practice, "studies": [asdict(study) for study in studies]}
    with private_file(folder / LOG) as log, private_file(folder / ANSWER) as answers:
        _run(hook, json.dumps(asked).encode("ascii") + b"\n", answers.fileno(), log.fileno(), hold)
    try:
        answer = json.loads((folder / ANSWER).read_bytes())
    except ValueError:
        raise Rejected(f"the hook has ended without an answer: {_SEE}") from None
    return read_answer(answer, studies, folder)


def _run(hook: Hook, asked: bytes, answers: int, log: int, hold: int) -> None:
    """Start the process, wait for its end; its standard input stays open while it is wanted."""
    command = [hook.python, "-c", _START, str(hook.file.parent), str(_CHILD), str(hook.file)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORTHANC_DEID_")}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=answers, stderr=log, cwd=hook.file.parent, env=environment,
            pass_fds=(hold,), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Rejected(
            f"the Python of the hook cannot be started ({type(error).__name__}): see --hook-python"
        ) from None
    try:
        _write(process, asked)
        code = process.wait(hook.timeout_s)
    except subprocess.TimeoutExpired:
        raise Rejected(f"the hook has not ended within {hook.timeout_s:g} s: {_SEE}") from None
    finally:
        _end(process)
    if code:
        raise Rejected(f"the hook has failed (exit code {code}): {_SEE}")


def _write(process: subprocess.Popen[bytes], asked: bytes) -> None:
    if process.stdin:
        try:
            process.stdin.write(asked)
            process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended already: its exit code tells


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of it, with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        try:
            process.stdin.close()
        except BrokenPipeError:
            return


def read_answer(answer: Any, studies: Sequence[Study], folder: Path) -> Answer:  # noqa: ANN401  # JSON of the site's hook
    """Check the answer of either form.

    Raises
    ------
    Rejected
        It is not what the protocol says.
    """
    if not isinstance(answer, dict):
        raise Rejected("the hook's answer is none")
    if "fault" in answer:
        raise Rejected(f"the hook cannot be asked: {answer['fault']}")
    notes = [str(note) for note in answer.get("notes", ())]
    if "text" in answer:
        if not isinstance(answer["text"], str):
            raise Rejected("a hook of three parameters returns a text: this one does not")
        return Answer(_of_folder(folder / NO_ENCOUNTER, studies), notes, answer["text"])
    return Answer(dict(_reasons(answer.get("verdicts"), studies)), notes)


def _reasons(verdicts: Any, studies: Sequence[Study]) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON of the site's hook
    left = {study.id for study in studies}
    for verdict in verdicts or ():
        study, accepted, reason = verdict["study"], verdict["accepted"], verdict["reason"]
        if study not in left:
            raise Rejected("the hook answers for a study twice, or for one that it was not asked about")
        if not isinstance(accepted, bool) or not isinstance(reason, str | None):
            raise Rejected("an answer of the hook is neither study.accept() nor study.refuse(reason)")
        if not accepted and not (reason or "").strip():
            raise Rejected("the hook refuses a study without a reason")
        left.remove(study)
        yield study, "" if accepted else " ".join((reason or "").split())[:REASON_LENGTH]
    if left:
        raise Rejected(f"the hook has not answered for {len(left)} of {len(studies)} studies")


def _of_folder(folder: Path, studies: Sequence[Study]) -> dict[str, str]:
    """Return what a hook of the older form has refused: named in a folder by id of the output or original UID."""
    refused = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    reasons = {}
    for study in studies:
        names = {study.output.orthanc, study.original.StudyInstanceUID} & refused
        reasons[study.id] = "no encounter" if names else ""
        refused -= names
    if refused:
        raise Rejected(f"{len(refused)} names in {NO_ENCOUNTER} are of no study of this run")
    return reasons


def without_identity(texts: Iterable[str], identities: Sequence[str]) -> Iterator[str]:
    """Yield each text, or REFUSED for one that holds an identity: hooks are the site's, overviews are for all."""
    pattern = _pattern(identities)
    for text in texts:
        yield REFUSED if pattern and pattern.search(text) else text


def _pattern(identities: Sequence[str]) -> re.Pattern[str] | None:
    """Match any of them as a whole word, whatever the case."""
    words = sorted({word for word in identities if word}, key=len, reverse=True)
    if not words:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
