"""De-identifies a folder: looks at every file, then makes every output; can be ended at any time."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import __version__
from ..confidentiality.plan import plan
from ..confidentiality.profile import Profile
from ..packed.unpack import Source
from ..processes import Processes
from . import items, output, sources
from .chunks import DIED, Job, each
from .instances import Item, Outcome, Work, deidentify
from .journal import Digests, Entry, Journal, Terms, entry
from .mapping import Pair
from .naming import Named, Namer, name
from .scan import Header, Scan, Scanned, joined, scan
from .sources import Left, Why

Progress = Callable[[str, int, int], None]  # what is done, how many are, of how many
LOOKED_AT, DEIDENTIFIED = "files looked at", "instances worked on"
SCANNED_AT_ONCE = 64
MODULES = ("orthanc_deid.folder.scan", "orthanc_deid.folder.instances")


@dataclass(frozen=True, repr=False)
class Request:
    """What a person asked for."""

    source: Path
    out: Path
    profile: Profile
    project_key: bytes
    namer: Namer
    journal: Path
    instance_bytes: int  # the largest that is accepted
    processes: int


@dataclass(repr=False)
class Report:
    """What came of it; `uids` and `patients` say who became whom."""

    left: list[Left]
    uids: set[Pair] = field(default_factory=set)
    patients: set[Pair] = field(default_factory=set)
    notes: Counter[str] = field(default_factory=Counter)
    paths: set[str] = field(default_factory=set)  # of every output, in OUT
    before: int = 0  # outputs that an earlier run made
    duplicates: int = 0

    def of(self, why: Why) -> list[Left]:
        """Return what has no output for that reason."""
        return [left for left in self.left if left.why is why]

    def counts(self) -> dict[str, int]:
        """Count everything that does not depend on how often the run was ended."""
        levels = {
            name: len({path.rsplit("/", above)[0] for path in self.paths})
            for name, above in (("patients", 3), ("studies", 2), ("series", 1))
        }
        left = {why.value: len(self.of(why)) for why in Why}
        return {"instances": len(self.paths), **levels, "duplicates": self.duplicates, **left}


def run(request: Request, progress: Progress) -> Report:
    """De-identify everything in IN that is not done yet.

    Raises
    ------
    ConfigurationError
        OUT is not ours, cannot be written, or holds results of another profile, key, version or state of IN.
    Retriable
        The source of pseudonyms cannot be read.
    KeyboardInterrupt
        A person stopped it; what is done stays, and is not done again.
    """
    digests = Digests(request.project_key)
    terms = Terms(request.profile.name, request.profile.digest, digests.key(), __version__)
    with Journal(request.journal) as journal:
        done = journal.begin(terms, empty=not output.holds(request.out))
        output.begin(request.out)
        try:
            with closing(Processes(request.processes, MODULES)) as pool:
                found = _look(request, pool, progress)
                items.demand_unchanged(found, done, digests)
                named = name(sources.place(request.source, request.instance_bytes).root, found.headers, request.namer)
                headers, left = named.split(found.headers)
                found = replace(found, headers=headers, left=sorted(found.left + left))
                return _Run(request, found, named, digests, journal, progress).make(pool, done)
        finally:
            output.end(request.out)


def _look(request: Request, pool: Processes, progress: Progress) -> Scanned:
    place = sources.place(request.source, request.instance_bytes)
    every = list(sources.walk(place))
    files = sorted(found for found in every if isinstance(found, Source))
    parts = [Scanned([], [found for found in every if isinstance(found, Left)], {})]
    kept, done = plan(request.profile).kept, 0
    chunks = [
        Scan(place.root, tuple(files[k : k + SCANNED_AT_ONCE]), kept) for k in range(0, len(files), SCANNED_AT_ONCE)
    ]
    for part in each(pool, SCAN, chunks):
        parts.append(part)
        done += len(part.headers) + len(part.left)
        progress(LOOKED_AT, done, len(files))
    return _with_empty_zips_once(joined(parts), files)


def _with_empty_zips_once(found: Scanned, files: list[Source]) -> Scanned:
    """Name a ZIP file that holds no DICOM by itself: office documents are such, with dozens of files in each."""
    zips = {source.shown: source.path for source in files if source.index >= 0}
    full = {header.source.path for header in found.headers}
    full |= {zips[left.path] for left in found.left if left.path in zips and left.why is not Why.NOT_DICOM}
    empty = set(zips.values()) - full
    left = [left for left in found.left if zips.get(left.path) not in empty]
    left += [Left(path, "a ZIP file without DICOM", Why.NOT_DICOM) for path in empty]
    return replace(found, left=sorted(left))


@dataclass(frozen=True, repr=False)
class _Run:
    request: Request
    found: Scanned
    named: Named
    digests: Digests
    journal: Journal
    progress: Progress

    def make(self, pool: Processes, done: list[Entry]) -> Report:
        """Make every output, and remove those that have no source any more."""
        known = self._known()
        every = items.of(self.found, done, self.digests, known)
        report = Report(list(self.found.left))
        finished = 0
        for group in _groups(every):
            for outcomes in each(pool, DEIDENTIFY, [self._work(part) for part in group]):
                self._note(outcomes, known)
                for outcome in outcomes:
                    _add(report, outcome)
                finished += len(outcomes)
                self.progress(DEIDENTIFIED, finished, len(every))
        for path in {old.path for old in done} - report.paths:
            output.remove(self.request.out, path)
        report.left.sort()
        return report

    def _known(self) -> dict[str, str]:
        """Return the digest of what is known of each study, and of what its patients are called."""
        studies: dict[str, list[Header]] = {study: [] for study in self.found.known}
        for header in self.found.headers:
            studies[header.StudyInstanceUID].append(header)
        return {
            study: self.digests.known(self.found.known[study], self.named.of(headers))
            for study, headers in studies.items()
        }

    def _work(self, part: list[Item]) -> Work:
        headers = [header for item in part for header in item.headers]
        studies = {header.StudyInstanceUID for header in headers}
        return Work(
            root=sources.place(self.request.source, self.request.instance_bytes).root,
            out=self.request.out,
            profile=self.request.profile,
            project_key=self.request.project_key,
            items=tuple(part),
            known={study: self.found.known[study] for study in studies},
            called={each.normal: each for each in self.named.of(headers)},
        )

    def _note(self, outcomes: Iterable[Outcome], known: dict[str, str]) -> None:
        new = [
            entry(self.digests, outcome.header.source, known[outcome.header.StudyInstanceUID], outcome.made)
            for outcome in outcomes
            if outcome.header and outcome.made and outcome.is_new
        ]
        if new:
            self.journal.note(new)


def _groups(every: list[Item]) -> Iterable[list[list[Item]]]:
    """Yield what goes side by side: all but the largest, and then each of these alone."""
    yield list(items.parts([item for item in every if item.size <= items.ALONE]))
    yield from ([[item]] for item in every if item.size > items.ALONE)


def _add(report: Report, outcome: Outcome) -> None:
    report.left += outcome.left
    report.duplicates += outcome.duplicates
    if outcome.header and outcome.made:
        _map(report, outcome.header, outcome.made.path)
        report.paths.add(outcome.made.path)
        report.notes.update(outcome.made.notes)
        report.before += not outcome.is_new


def _map(report: Report, header: Header, path: str) -> None:
    folder, *uids = path.removesuffix(".dcm").split("/")
    report.patients.add((header.PatientID, output.pseudonym_of(folder)))
    old = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
    report.uids.update(zip(old, uids, strict=True))


def _single_sources(chunk: Scan) -> list[Scan]:
    return [replace(chunk, sources=(source,)) for source in chunk.sources]


def _unscanned(chunk: Scan) -> Scanned:
    return Scanned([], [Left(source.shown, DIED, Why.QUARANTINED) for source in chunk.sources], {})


def _single_items(chunk: Work) -> list[Work]:
    return [replace(chunk, items=(item,)) for item in chunk.items]


def _unmade(chunk: Work) -> list[Outcome]:
    headers = [header for item in chunk.items for header in item.headers]
    return [Outcome(left=[Left(header.source.shown, DIED, Why.QUARANTINED) for header in headers])]


SCAN = Job(scan, _single_sources, _unscanned)
DEIDENTIFY = Job(deidentify, _single_items, _unmade)
