"""What must work for studies to go through, each as one check with a sentence on what is wrong."""

import shutil
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from .. import __version__
from ..database import workers
from ..database.conflicts import Conflicts
from ..database.key_states import WRONG, KeyStates
from ..errors import DeidError
from ..intake.heal import DEAD_S
from ..settings import FREE_BYTES
from .runtime import Runtime

OK = "ok"


def examine_health(runtime: Runtime) -> dict[str, Any]:
    """Run every check; none of them waits longer than a few seconds."""
    checks = {name: _guarded(check, runtime) for name, check in CHECKS.items()}
    reachable = checks["database"] == OK
    return {
        "status": OK if set(checks.values()) == {OK} else "degraded",
        "version": __version__,
        "checks": checks,
        "studies": runtime.ledger.counts() if reachable else {},
        "workers": _workers(runtime) if reachable else [],
        "conflicts": Conflicts(runtime.database).undecided() if reachable else 0,
        "refused_on_arrival": sum(1 for _ in (runtime.settings.quarantine / "incoming").glob("*.json")),
    }


def _guarded(check: Callable[[Runtime], str], runtime: Runtime) -> str:
    try:
        return check(runtime)
    except DeidError as error:
        return str(error)
    except (SQLAlchemyError, OSError) as error:
        return type(error).__name__


def _database(runtime: Runtime) -> str:
    runtime.ledger.counts()
    return OK


def _orthanc(runtime: Runtime) -> str:
    runtime.orthanc.system()
    return OK


def _alive(runtime: Runtime) -> str:
    return OK if any(w["silent_s"] < DEAD_S for w in _workers(runtime)) else "no worker is alive"


def _reconciles(runtime: Runtime) -> str:
    silent_s = time.time() - runtime.reconcile.looked_at
    allowed_s = 60 + 3 * runtime.settings.configuration.intake.reconcile_s
    return OK if silent_s < allowed_s else "Orthanc's changes have not been read for more than a minute"


def _keys(runtime: Runtime) -> str:
    wrong = [each.detail for each in KeyStates(runtime.database, runtime.keyring).projects() if each.state == WRONG]
    return "; ".join(wrong) or OK


def _audit(runtime: Runtime) -> str:
    if runtime.audit.is_head_right():
        return OK
    return "the audit's head was changed, or written with another key: orthanc-deid audit verify"


def _disk(runtime: Runtime) -> str:
    free = shutil.disk_usage(runtime.settings.home).free
    return OK if free >= FREE_BYTES else f"{free // 2**20} MiB free in ORTHANC_DEID_HOME"


def _workers(runtime: Runtime) -> list[dict[str, Any]]:
    return [
        {"executor": executor, "silent_s": round(age, 1)}
        for executor, age in sorted(workers.ages(runtime.database).items())
    ]


CHECKS: dict[str, Callable[[Runtime], str]] = {
    "database": _database,
    "orthanc": _orthanc,
    "workers": _alive,
    "reconcile": _reconciles,
    "keys": _keys,
    "audit": _audit,
    "disk": _disk,
}
