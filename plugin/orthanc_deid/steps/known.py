"""The identifiers of the studies at work: in this worker's memory only, read again from Orthanc after a restart."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TypeVar

from ..confidentiality.identifiers import Identifiers
from . import Resources
from .instances import Collect, collect

ItemT = TypeVar("ItemT")
CHUNK = 32
CHUNK_S = 300.0
STUDIES = 8  # kept at once; the one that was used longest ago is forgotten


Key = tuple[int, frozenset[int]]  # a study, and what its profile keeps: another profile looks for other things


class _Memory:
    """For each study: the source instances that were read, and what they hold."""

    def __init__(self) -> None:
        self._studies: OrderedDict[Key, tuple[set[str], Identifiers]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, study: Key, sources: Collection[str], found: Identifiers) -> None:
        with self._lock:
            read, known = self._studies.pop(study, (set(), Identifiers()))
            self._studies[study] = (read | set(sources), known | found)
            while len(self._studies) > STUDIES:
                self._studies.popitem(last=False)

    def get(self, study: Key) -> tuple[set[str], Identifiers]:
        with self._lock:
            return self._studies.get(study, (set(), Identifiers()))


_memory = _Memory()


def remember(study: int, sources: Collection[str], kept: frozenset[int], found: Identifiers) -> None:
    """Keep what some source instances hold, but for the attributes that are `kept`."""
    _memory.add((study, kept), sources, found)


def of(study: int, sources: Sequence[str], kept: frozenset[int], resources: Resources) -> Identifiers:
    """Return the identifiers of these source instances, and of any other of the study that was read before.

    `kept` names attributes that the profile leaves as they are: what they hold may stay.
    """
    already, _ = _memory.get((study, kept))
    missing = [source for source in sources if source not in already]
    if missing:
        _memory.add((study, kept), missing, read(missing, kept, resources))
    return _memory.get((study, kept))[1]


def read(sources: Sequence[str], kept: frozenset[int], resources: Resources) -> Identifiers:
    """Read the identifiers of these source instances and of no other."""
    known = Identifiers()
    chunks = [Collect(resources.orthanc.address, chunk, kept) for chunk in parts(sources, CHUNK)]
    for part in resources.processes.map(collect, chunks, CHUNK_S):
        known |= part
    return known


def parts(items: Sequence[ItemT], size: int) -> list[tuple[ItemT, ...]]:
    """Cut a list into chunks."""
    return [tuple(items[k : k + size]) for k in range(0, len(items), size)]
