"""Carry out what the retention rules decide; whatever cannot be made sure of stays."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .. import log, states
from ..database.deliveries import Deliveries
from ..database.ledger import Instance, Study
from ..database.tables import REMOVED
from ..errors import Conflict, NotFound
from ..results import cache
from ..retention import Kept, Removal, decide
from ..settings.retention import Keeping
from .examine import Intake


class Retainer:
    """Decides and deletes; knows for a while how large studies are."""

    def __init__(self, intake: Intake, home: Path, results: Path) -> None:
        self._intake, self._home, self._results = intake, home, results
        self._sizes: dict[tuple[str, int], int] = {}

    def plan(self) -> list[Removal]:
        """Return what would be deleted now; nothing is."""
        configuration = self._intake.configuration
        own = {p.name: p.retention for p in configuration.projects if p.retention}
        if not _deletes([configuration.retention, *own.values()]) and configuration.retention.most_bytes is None:
            return []
        sizes = self._results_bytes()
        return decide(
            [self._kept(study, sizes.get(study.id, 0)) for study in self._intake.ledger.in_states([states.DONE])],
            configuration.retention,
            time.time(),
            shutil.disk_usage(self._home).free,
            sum(sizes.values()),
            own,
        )

    def run(self) -> list[Removal]:
        """Delete what the rules name, each with an event of its study; answer what was deleted."""
        cache.sweep(self._results)
        effects: dict[str, Callable[[Study], None]] = {
            "results": self._remove_results, "source": self._remove_source, "output": self._remove_output,
        }  # fmt: skip
        done = []
        for removal in self.plan():
            study = self._intake.ledger.get(removal.study)
            if study.status != states.DONE or study.recheck:
                continue  # something came meanwhile
            effects[removal.what](study)
            try:
                self._intake.ledger.note_removed(study.id, removal.what, removal.reason)
            except Conflict:
                log.event("study began anew while it was deleted", level=logging.WARNING, study=study.id)
            done.append(removal)
        if done:
            log.event("deleted by the retention rules", count=len(done), bytes=sum(r.bytes for r in done))
        return done

    def _kept(self, study: Study, results_bytes: int) -> Kept:
        instances = self._intake.ledger.instances(study.id)
        deliveries = Deliveries(self._intake.ledger.engine).of(study.id)
        # De-identified on arrival: there was never another than the output.
        has_source = not study.removed & REMOVED["source"] and not study.arrived
        has_output = not study.removed & REMOVED["output"]
        return Kept(
            study=study.id,
            project=study.project,
            status=study.status,
            done_at=study.done_at,
            confirmed=not any(d.confirmed_version < study.version for d in deliveries if self._required(d.destination)),
            copies=sum(d.confirmed_version >= study.version for d in deliveries),
            held=bool(study.recheck) or any(i.state != states.INSTANCE_DEIDENTIFIED for i in instances),
            has_source=has_source,
            has_output=has_output,
            results_bytes=results_bytes,
            source_bytes=self._size(study.source, study.version) if has_source else 0,
            output_bytes=self._size(study.output or "", study.version) if has_output else 0,
        )

    def _required(self, name: str) -> bool:
        return next((d.required for d in self._intake.configuration.destinations if d.name == name), True)

    def _size(self, study: str, version: int) -> int:
        """Return the bytes on disk of a study in Orthanc; 0 where it is gone."""
        if (study, version) not in self._sizes:
            try:
                told = self._intake.orthanc.get(f"/studies/{study}/statistics")
            except NotFound:
                return 0
            self._sizes[study, version] = int(told["DiskSize"])
        return self._sizes[study, version]

    def _results_bytes(self) -> dict[int, int]:
        sizes: dict[int, int] = {}
        for entry in cache.entries(self._results):
            sizes[entry.study] = sizes.get(entry.study, 0) + entry.size
        return sizes

    def _remove_results(self, study: Study) -> None:
        for entry in cache.entries(self._results):
            if entry.study == study.id:
                cache.remove(entry)

    def _remove_source(self, study: Study) -> None:
        self._remove_instances(i.source for i in self._verified(study))

    def _remove_output(self, study: Study) -> None:
        self._remove_instances(i.output for i in self._verified(study))

    def _verified(self, study: Study) -> list[Instance]:
        found = self._intake.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)
        return [i for i in found if i.version <= study.verified_version]

    def _remove_instances(self, instances: Iterable[str | None]) -> None:
        """Delete one by one what the ledger knows: what has arrived at this moment is in no list and stays."""
        for instance in instances:
            if instance:
                self._intake.orthanc.delete("instances", instance)


def _deletes(rules: Iterable[Keeping]) -> bool:
    return any(not rule.keep for each in rules for rule in (each.sources, each.outputs, each.results))
