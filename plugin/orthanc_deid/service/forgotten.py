"""What was converted of studies that nothing may be done with any more."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine

from ..database.ties import forgotten
from ..results import cache


def remove_conversions(
    results: Path, engine: Engine, studies: Collection[int] | None = None, *, dry_run: bool = False
) -> int:
    """Remove the conversions of some studies, or of all that are forgotten; answer how many there were.

    Done at each start too: a process may have been killed between the erasure and this.
    """
    numbers = set(forgotten(engine)) if studies is None else set(studies)
    found = [entry for entry in cache.entries(results) if entry.study in numbers]
    for entry in found if not dry_run else ():
        cache.remove(entry)
    return len(found)
