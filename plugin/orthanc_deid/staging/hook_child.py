"""The process in which a hook runs: one line of JSON in, one answer out; knows the standard library alone.

Whatever the hook prints goes to its log. The process ends with its parent, also where that was killed.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

OLD_FORM = 3  # parameters: run_dir, overview, practice


def main() -> None:
    """Ask the hook whose file is the last word of the command line."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what the hook prints is no answer
    asked = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    protocol = _load(Path(__file__).with_name("hook_protocol.py"), "hook_protocol")
    hook = getattr(_load(Path(sys.argv[-1]), "staging_hook"), "hook", None)
    answer = answer_of(hook, asked, protocol) if callable(hook) else {"fault": "the file has no function `hook`"}
    with answers:
        json.dump(answer, answers)


def answer_of(hook: Any, asked: dict[str, Any], protocol: Any) -> dict[str, Any]:  # noqa: ANN401  # of the site
    """Call a hook of either form and return its answer as plain values."""
    if len(inspect.signature(hook).parameters) == OLD_FORM:
        overview = io.StringIO()
        text = hook(asked["folder"], overview, asked["practice"])
        return {"text": text, "notes": overview.getvalue().splitlines()}
    run = protocol.Run(asked["folder"], asked["practice"], [_study(each, protocol) for each in asked["studies"]])
    verdicts = [_plain(each) for each in hook(run)]
    return {"verdicts": verdicts, "notes": [str(note) for note in run.notes]}


def _plain(verdict: Any) -> dict[str, Any]:  # noqa: ANN401  # of the site: checked by the parent
    names = ("study", "accepted", "reason")
    return {name: getattr(verdict, name, None) for name in names}


def _study(values: dict[str, Any], protocol: Any) -> Any:  # noqa: ANN401  # of the module that is loaded by its path
    original, output = protocol.Original(**values["original"]), protocol.Output(**values["output"])
    return protocol.Study(values["id"], values["status"], tuple(values["lines"]), original, output)


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("the hook is no Python file: its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing comes: it ends when the other side is closed
    os._exit(1)


if __name__ == "__main__":
    main()
