"""Routes on keys: are they there, do they fit, and another one for the crosswalk while everything works."""

from typing import Annotated, Any

from fastapi import Query

from ..database.key_states import WRONG, KeyStates
from ..keyring import PRIVATE
from .key_rotation import KeyRotation
from .parameters import Held, User

Counted = Annotated[bool, Query(description="false: rows are neither counted nor opened, for a quick look")]


def show_keys(runtime: Held, *, counted: Counted = True) -> Any:
    """Tell whether all keys are there and fit, how far a rotation is, and what to do where something is wrong."""
    states = KeyStates(runtime.database, runtime.keyring)
    rotation = runtime.rotation
    rows = rotation.rotation.rows() if counted else {}
    numbers = sorted({*runtime.keyring.generations(), *rows}) if counted else []
    projects = states.projects(opening=counted)
    generations = states.generations(numbers)
    modes = runtime.keyring.modes()
    wrong = [each.detail for each in (*projects, *generations) if each.state == WRONG]
    wrong += [
        f"{name} can be read by others: chmod {_mode(m & ~PRIVATE)} it" for name, m in modes.items() if m & PRIVATE
    ]
    wrong += [rotation.fault] if rotation.fault else []
    return {
        "ok": not wrong,
        "wrong": wrong,
        "master": runtime.keyring.source,
        "projects": [{"name": each.name, "state": each.state} for each in projects],
        "generations": [
            {"number": number, "state": each.state, "rows": rows.get(number, 0)}
            for number, each in zip(numbers, generations, strict=True)
        ],
        "modes": {name: _mode(mode) for name, mode in modes.items()},
        "rotation": _told(rotation),
    }


def rotate_keys(runtime: Held, user: User) -> Any:
    """Encrypt the crosswalk with a new key, while everything works; one that was not brought to its end goes on."""
    runtime.rotation.begin(user)
    return show_keys(runtime, counted=False)


def _told(rotation: KeyRotation) -> dict[str, Any] | None:
    progress = rotation.progress
    if progress is None:
        return None
    return {
        "runs": rotation.runs,
        "generation": progress.generation,
        "done": progress.done,
        "left": progress.left,
        "unopened": progress.unopened,
        "retired": progress.retired,
        "fault": rotation.fault or None,
    }


def _mode(mode: int) -> str:
    return f"{mode:04o}"
