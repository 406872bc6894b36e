"""The route by which senders announce what they will send, or have sent."""

import time
from typing import Annotated, Any

from fastapi import Body, Response
from pydantic import BeforeValidator

from .. import log
from ..database.awaited import Waiting
from ..database.manifests import Manifest, Manifests
from .models import ManifestWanted
from .parameters import Held, User
from .runtime import Runtime

MOST = 1000  # manifests at once
AGAIN_S = 5.0  # seconds after which a study is examined again where the first time was lost


def _as_list(body: object) -> object:
    return body if isinstance(body, list) else [body]


Announcements = Annotated[
    list[ManifestWanted],
    Body(min_length=1, max_length=MOST),
    BeforeValidator(_as_list, json_schema_input_type=ManifestWanted | list[ManifestWanted]),
]


def announce_instances(runtime: Held, wanted: Announcements, response: Response, user: User) -> Any:
    """Say how many instances studies have, before or after these arrive: one manifest, or a list of them.

    Studies whose `completeness` is `by: manifest` begin when all that is announced is there. A second manifest of a
    study replaces the first. 201 where any is new, 200 where all are replaced.
    """
    announced = [Manifest(m.StudyInstanceUID, m.instances or len(m.SOPInstanceUIDs), m.SOPInstanceUIDs) for m in wanted]
    replaced = Manifests(runtime.database, runtime.seal).note(announced, user)
    log.event("manifests taken", count=len(announced))
    if sum(_examine_again(runtime, each.study_uid) for each in announced):
        runtime.reconcile.hint()
    response.status_code = 200 if all(replaced) else 201
    items = [
        {"instances": each.instances, "listed": bool(each.sop_uids), "replaced": before}
        for each, before in zip(announced, replaced, strict=True)
    ]
    return {"items": items}


def _examine_again(runtime: Runtime, study_uid: str) -> int:
    """Have those studies of a UID examined that wait to be complete; answer how many."""
    found = [study for source in runtime.orthanc.lookup(study_uid) for study in runtime.ledger.of_source(source)]
    again_at = time.time() + AGAIN_S
    return sum(Waiting(runtime.database).wake(study.id, again_at) for study in found)
