"""retrieve: have the archive send what is not here; where a study belongs is noted before it can arrive."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .. import states
from ..database.batches import Batch, BatchRow, RowStudy
from ..database.origins import Origin
from ..errors import Rejected, Retriable
from ..pacs.base import Archive, Found, Instance
from ..pipeline import Job
from ..settings import Archive as ArchiveSettings
from ..steps import Resources, pace
from . import further, present, question
from .archive import connected, settings_of


def run(job: Job, resources: Resources) -> None:
    """Request what is missing of each study of a row, each at its turn."""
    row = resources.batches.guard(job.study, job.run)
    batch = resources.batches.get(row.batch_id)
    settings = settings_of(resources.settings.configuration, batch)
    archive = connected(job, settings, resources)
    for study in resources.batches.studies(row.id):
        if study.state in states.ROW_OPEN:
            resources.batches.guard(row.id, job.run)
            _Request(job, row, batch, settings, archive, resources).make(study)


class _Request:
    def __init__(  # noqa: PLR0913  # what each request needs
        self,
        job: Job,
        row: BatchRow,
        batch: Batch,
        settings: ArchiveSettings,
        archive: Archive,
        resources: Resources,
    ) -> None:
        self._job, self._row, self._batch = job, row, batch
        self._settings, self._archive, self._resources = settings, archive, resources

    def make(self, study: RowStudy) -> None:
        found = question.found(self._resources.seal, study)
        compared = present.compare(found, found.instances, self._archive, self._resources)
        here = compared.here
        if compared.is_whole and not self._batch.target:
            self._note(study, compared)
            if study.state != states.ROW_WORKING:
                further.note_further(found, self._origin(found), here.orthanc, self._resources)
            return
        if study.state == states.ROW_WORKING:
            # It has had its turn: another would keep the studies behind it from ever beginning.
            pace.demand_open(self._settings, self._resources.gates)
        else:
            pace.admit(self._settings, self._resources.gates, self._ahead)
        if not self._resources.batches.begin_study(
            self._row.id, self._job.run, study.id, arrived=here.count, expected=compared.expected, orthanc=here.orthanc
        ):
            return
        if not self._batch.target:
            further.note(found, self._origin(found), here.orthanc, self._resources)
        some = compared.missing if here.uids and not self._batch.target else []
        for part, of_part in self._parts(found, some):
            self._retrieve(part, of_part)

    def _retrieve(self, part: Found, instances: list[Instance]) -> None:
        """Have a part sent, when its turn comes."""
        settings, gates = self._settings, self._resources.gates
        if settings.batch_size:
            wait_s = gates.series_wait(settings.name, settings.batch_wait_s)
            pace.rest(wait_s, lambda: self._resources.batches.guard(self._row.id, self._job.run))
        self._resources.batches.guard(self._row.id, self._job.run)
        try:
            self._archive.retrieve(part, instances, self._batch.target)
        except Rejected as error:
            # Some say that they do not know us when they only cannot reach us, as while our Orthanc starts.
            if self._job.attempt < settings.attempts:
                raise Retriable(str(error)) from None
            raise
        if settings.batch_size:
            gates.end_series(settings.name, settings.batch_size, settings.batch_wait_s)

    def _note(self, study: RowStudy, compared: present.Comparison) -> None:
        """Note what is here as a whole: by this row, if it was requested before a worker was ended."""
        was_requested = study.state == states.ROW_WORKING
        self._resources.batches.note_study(
            self._row.id,
            self._job.run,
            study.id,
            states.ROW_DELIVERED if was_requested else states.ROW_DUPLICATE,
            arrived=compared.expected or compared.here.count,
            expected=compared.expected,
            orthanc=compared.here.orthanc,
        )

    def _origin(self, found: Found) -> Origin:
        return further.origin_of(self._batch, self._row, found, self._resources)

    def _parts(self, found: Found, missing: Sequence[Instance]) -> Iterator[tuple[Found, list[Instance]]]:
        """Yield what is requested at once: the study, or series by series where there is a wait after so many."""
        if not self._settings.batch_size or found.series_uid:
            yield found, list(missing)
            return
        series = [each.series_uid for each in self._archive.series(found.study_uid)]
        for series_uid in series:
            of_series = [i for i in missing if i.series_uid == series_uid]
            if of_series or not missing:
                yield replace(found, series_uid=series_uid), of_series

    def _ahead(self) -> int:
        """Count the rows that wait for the same turn and stand before this one."""
        waiting = self._resources.batches.rows(self._batch.id, state=[states.ROW_WORKING])
        return sum(row.line < self._row.line and row.reason == pace.RATIONED for row in waiting)
