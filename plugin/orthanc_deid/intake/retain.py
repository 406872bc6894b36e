"""Carry out what the retention rules decide; whatever cannot be made sure of stays."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import faults, log, states
from ..database.deliveries import Deliveries, Delivery
from ..database.ledger import Instance, Study
from ..database.tables import REMOVED
from ..errors import Conflict, NotFound
from ..results import cache
from ..retention import Kept, Removal, decide
from ..settings.retention import Keeping
from .examine import Intake

DAY_S = 86400.0
WAIT_S = 1.0
LOOK_EVERY = 50  # instances


class Retainer:
    """Decides and deletes; knows for a while how large studies are."""

    def __init__(self, intake: Intake, home: Path, results: Path) -> None:
        self._intake, self._home, self._results = intake, home, results
        self._sizes: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._running: _Run | None = None

    def plan(self) -> list[Removal]:
        """Return what would be deleted now; nothing is."""
        retention = self._intake.configuration.retention
        own = {p.name: p.retention for p in self._intake.configuration.projects if p.retention}
        if not _deletes([retention, *own.values()]) and retention.most_bytes is None:
            return []
        now, sizes = time.time(), self._results_bytes()
        held, free = sum(sizes.values()), shutil.disk_usage(self._home).free
        most, least = retention.most_bytes, retention.free_bytes
        is_short = (most is not None and held > most) or (least is not None and free < least)
        kept = [
            self._with_further(study, sizes)
            for study in self._intake.ledger.in_states([states.DONE])
            if is_short or _is_due(study, own.get(study.project, retention), now)
        ]
        removals = decide(kept, retention, now, free, held, own)
        return [*removals, *self._of_others(removals, sizes)]

    def _of_others(self, removals: Sequence[Removal], sizes: dict[int, int]) -> Iterator[Removal]:
        """Yield conversions of studies that ended otherwise, the last used ones last, while there are too many."""
        most = self._intake.configuration.retention.most_bytes
        left = {study: size for study, size in sizes.items() if size}
        for removal in removals:
            if removal.what == "results":
                left.pop(removal.study, None)
        held = sum(left.values())
        used: dict[int, float] = {}
        for entry in cache.entries(self._results) if most is not None and held > most else ():
            used[entry.study] = max(used.get(entry.study, 0.0), entry.used_at)
        for number in sorted(used.keys() & left.keys(), key=lambda study: used[study]):
            status = self._intake.ledger.get(number).status
            if held <= (most or 0):
                return
            if status != states.DONE and status not in states.ACTIVE:
                yield Removal(number, "results", "conversions take more than most_bytes", left[number])
                held -= left[number]

    def run(self, wait_s: float = WAIT_S, actor: str = "retention") -> list[Removal]:
        """Delete what the rules name, each with an event of its study; answer what was deleted in that time.

        What takes longer goes on: the caller has studies to find, or a person who waits.
        """
        with self._lock:
            if self._running is None or self._running.ended.is_set():
                self._running = _Run(actor)
                threading.Thread(target=self._carry_out, args=(self._running,), name="retention", daemon=True).start()
            run = self._running
        run.ended.wait(wait_s)
        if run.error:
            raise run.error
        return list(run.removed)

    def _carry_out(self, run: "_Run") -> None:
        try:
            cache.sweep(self._results)
            runs = self._runs()
            for removal in self.plan():
                if self._remove(removal, runs, run.actor):
                    run.removed.append(removal)
        except Exception as error:  # noqa: BLE001  # raised where somebody waits for it; the next run tries again
            log.event("retention failed", level=logging.ERROR, error=faults.told(error))
            run.error = error
        finally:
            if run.removed:
                log.event(
                    "deleted by the retention rules", count=len(run.removed), bytes=sum(r.bytes for r in run.removed)
                )
            run.ended.set()

    def _runs(self) -> dict[int, int]:
        return {study.id: study.run for study in self._intake.ledger.in_states([states.DONE])}

    def _concerned(self, removal: Removal, study: Study) -> list[Study]:
        """Return the rows of all projects that a removal takes something from, that of the first one last."""
        return [*reversed(self._intake.ledger.of_source(study.source))] if removal.what == "source" else [study]

    def _remove(self, removal: Removal, runs: Mapping[int, int], actor: str) -> bool:
        """Delete one thing; False where something came since the plan, which was made of these runs."""
        effects: dict[str, Callable[[Study], None]] = {
            "results": self._remove_results, "source": self._remove_source, "output": self._remove_output,
        }  # fmt: skip
        study = self._intake.ledger.get(removal.study)
        # That of the first project comes last: until it is noted, all is done once more.
        rows = self._concerned(removal, study)
        if study.status in states.ACTIVE:
            return False
        if removal.what != "results" and any(not _rests(row) or row.run != runs.get(row.id) for row in rows):
            return False
        try:
            effects[removal.what](study)
            for row in rows:
                self._intake.ledger.note_removed(row.id, removal.what, removal.reason, actor)
        except Conflict as error:
            log.event("not deleted", level=logging.WARNING, study=study.id, error=str(error))
            return False
        return True

    def _with_further(self, study: Study, sizes: Mapping[int, int]) -> Kept:
        """Tell what is held of a study, with its source of every project that is made of it."""
        kept = self._kept(study, sizes.get(study.id, 0))
        others = self._intake.ledger.further(study.source) if kept.has_source else ()
        return replace(kept, further=tuple(self._kept(other, 0) for other in others))

    def _kept(self, study: Study, results_bytes: int) -> Kept:
        instances = self._intake.ledger.instances(study.id)
        deliveries = Deliveries(self._intake.ledger.engine).of(study.id)
        # De-identified on arrival: there was never another than the output.
        has_source = not study.removed & REMOVED["source"] and not study.arrived and not study.is_further
        has_output = not study.removed & REMOVED["output"]
        return Kept(
            study=study.id,
            project=study.project,
            status=study.status,
            done_at=study.done_at,
            confirmed=not any(d.confirmed_version < study.version for d in deliveries if self._required(d.destination)),
            copies=sum(self._is_copy(d, study) for d in deliveries),
            held=bool(study.recheck) or any(i.state != states.INSTANCE_DEIDENTIFIED for i in instances),
            has_source=has_source,
            has_output=has_output,
            results_bytes=results_bytes,
            source_bytes=self._size(study.source, study.version) if has_source else 0,
            output_bytes=self._size(study.output or "", study.version) if has_output else 0,
        )

    def _required(self, name: str) -> bool:
        return next((d.required for d in self._intake.configuration.destinations if d.name == name), True)

    def _is_copy(self, delivery: Delivery, study: Study) -> bool:
        there = (d for d in self._intake.configuration.destinations if d.name == delivery.destination)
        return delivery.confirmed_version >= study.version and all(d.holds_dicom for d in there)

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
        """Delete those instances of a source that are verified in each of its projects."""
        rows = self._intake.ledger.of_source(study.source)
        for row in rows:
            self._demand_output(row)
        verified = [{i.source for i in self._verified(row)} for row in rows]
        self._remove_instances(rows, sorted(set.intersection(*verified)))

    def _demand_output(self, study: Study) -> None:
        """Raise Conflict where nobody would have the result any more."""
        deliveries = Deliveries(self._intake.ledger.engine).of(study.id)
        if any(self._is_copy(d, study) for d in deliveries):
            return
        gone = {i.output for i in self._verified(study)} - self._intake.orthanc.present(study.output or "")
        if gone:
            raise Conflict(f"{len(gone)} instances of the result are nowhere: the source stays")

    def _remove_output(self, study: Study) -> None:
        self._remove_instances([study], [i.output for i in self._verified(study)])

    def _verified(self, study: Study) -> list[Instance]:
        found = self._intake.ledger.instances(study.id, state=states.INSTANCE_DEIDENTIFIED)
        return [i for i in found if i.version <= study.verified_version]

    def _remove_instances(self, rows: Sequence[Study], instances: Iterable[str | None]) -> None:
        """Delete one by one what the ledger knows: what has arrived at this moment is in no list and stays.

        Raises
        ------
        Conflict
            The study began anew; the rest stays.
        """
        for number, instance in enumerate(instances, 1):
            if number % LOOK_EVERY == 0 and not all(_rests(self._intake.ledger.get(row.id)) for row in rows):
                raise Conflict("the study began anew while it was deleted")
            if instance:
                self._intake.orthanc.delete("instances", instance)


@dataclass
class _Run:
    """What is being deleted; more than one run at a time would delete twice."""

    actor: str
    removed: list[Removal] = field(default_factory=list)
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)


def _rests(study: Study) -> bool:
    return study.status == states.DONE and not study.recheck


def _is_due(study: Study, rules: Keeping, now: float) -> bool:
    """Tell whether anything of a study can be old enough, before much is read of it."""
    days = [rule.after_days for rule in (rules.sources, rules.outputs, rules.results) if rule.after_days is not None]
    return bool(days) and study.done_at is not None and study.done_at + min(days) * DAY_S <= now


def _deletes(rules: Iterable[Keeping]) -> bool:
    return any(not rule.keep for each in rules for rule in (each.sources, each.outputs, each.results))
