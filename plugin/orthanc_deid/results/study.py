"""The conversions of one output study, for destinations and routes.

The formats are loaded when the first conversion needs them: numpy and its kin are no part of an idle process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..destinations.base import Converted
from ..errors import NotFound, Rejected, Retriable
from ..formats import archives, names
from ..formats.labels import Labels, none_given
from ..orthanc_rest import Orthanc
from ..processes import Processes
from ..settings import Settings
from ..settings.conversion import Conversion
from . import trees
from .cache import Answer, Cache, Made, name
from .children import Series, ToNifti, ToPictures, ToSheet, fetch, to_nifti, to_pictures, to_sheet

if TYPE_CHECKING:
    from ..formats.pictures import PictureOptions

NUMBER = "{SeriesNumber:03d}"
STEM = NUMBER + "_{SeriesDescription}"
# Of an instance: what is no main attribute of a study in Orthanc.
TOLD = ("PatientAge", "PatientSex", "PerformedProcedureStepDescription", "RequestedProcedureDescription")
MORE_S = 600.0  # for fetching a series, beside the converter's own time


@dataclass(frozen=True)
class Converters:
    """What conversions use; made once in a process."""

    folder: Path  # the results of all studies
    conversion: Conversion
    templates: tuple[Path, ...]  # folders of rule sets
    orthanc: Orthanc
    processes: Callable[[], Processes]  # started when the first conversion needs them


def converters(settings: Settings, orthanc: Orthanc, processes: Callable[[], Processes]) -> Converters:
    """Return what the settings describe."""
    return Converters(settings.results, settings.configuration.conversion, settings.bids_folders, orthanc, processes)


@dataclass(frozen=True)
class _Source:
    """One series of the output study, as Orthanc tells it now."""

    id: str
    tags: dict[str, str]
    instances: tuple[str, ...]  # by InstanceNumber
    content: tuple[tuple[str, str], ...]  # Orthanc id and file of each: other content is another file

    @property
    def stem(self) -> str:
        """The name of its conversions, from de-identified values."""
        return names.fill(STEM if self.tags.get("SeriesDescription", "").strip() else NUMBER, self.tags)

    def of(self, files: Sequence[str]) -> tuple[str, ...]:
        """Return the instance of each picture, which is named by its place in the series; none of other files."""
        numbers = [file[:5] for file in files]
        return tuple(self.instances[int(n) - 1] for n in numbers) if all(n.isdigit() for n in numbers) else ()


class StudyResults:
    """The conversions of one output study.

    Parameters
    ----------
    study
        Our own number.
    output
        Orthanc id of the de-identified study.
    project
        Its name.
    instances
        Orthanc ids of what is verified; nothing else is converted.
    labels
        Answers by Orthanc's answer on the output study how subject and session are called.
    """

    def __init__(  # noqa: PLR0913  # what is known of a study
        self, converters: Converters, study: int, output: str, project: str, instances: Sequence[str],
        labels: Callable[[Mapping[str, Any]], Labels] = none_given,
    ) -> None:  # fmt: skip
        self._converters, self._output, self._project = converters, output, project
        self._allowed, self._labels = frozenset(instances), labels
        self._cache = Cache(converters.folder, study)
        self.refused: Counter[str] = Counter()  # reasons why series were not converted, in the last call

    def nifti(self, series: str | None = None) -> list[Converted]:
        """Convert each series that can be a volume, or only the one that is named."""
        from ..formats.nifti import NiftiOptions

        options = NiftiOptions(**asdict_of(self._converters.conversion.nifti, NiftiOptions))
        return self._each("nifti", series, asdict(options), lambda s: ToNifti(s, options), to_nifti)

    def pictures(self, kind: str, series: str | None = None) -> list[Converted]:
        """Draw each instance that has pixels; `kind` is png or jpeg."""
        options = self._picture_options(kind)
        return self._each(kind, series, asdict(options), lambda s: ToPictures(s, options), to_pictures)

    def contact_sheets(self, series: str | None = None) -> list[Converted]:
        """Draw a sheet of each series."""
        from ..formats.pictures import SheetOptions

        sheet = self._converters.conversion.pictures.sheet
        options = SheetOptions(picture=self._picture_options("png"), **sheet.model_dump())
        return self._each("sheet", series, asdict(options), lambda s: ToSheet(s, options), to_sheet)

    def bids(self) -> Path:
        """Lay the NIfTI of this study out as BIDS; answer the folder."""
        return self._bids().folder / trees.TREE

    def etl(self) -> Path:
        """Lay the NIfTI of this study out as image-deid-etl does; answer the folder above {program}."""
        converted = self.nifti()
        template = trees.etl_template(self._converters.conversion, self._converters.templates)
        labels = self._given()
        key = name("etl", _names(converted), self._project, template.model_dump(mode="json"), *_mark(labels))
        made = self._cache.make(key, lambda folder: trees.etl(converted, self._told(labels), folder, template))
        return made.folder / trees.TREE

    def dicomdir(self) -> Path:
        """Lay the DICOM files out as media with a DICOMDIR; answer the folder."""
        return self._dicomdir().folder / "media"

    def allows(self, instance: str) -> bool:
        """Tell whether an instance is verified."""
        return instance in self._allowed

    def picture(self, instance: str, kind: str, frame: int | None = None) -> Path:
        """Draw one instance, or one frame of it from 1; raise Rejected where it has no picture."""
        options = self._picture_options(kind)
        if frame is not None:
            options = replace(options, frames=(frame,))
        expanded = self._converters.orthanc.get(f"/instances/{instance}")
        key = name(f"one-{kind}", instance, expanded.get("FileUuid", ""), asdict(options))
        return self._one(key, lambda folder: ToPictures(self._series((instance,), folder, "picture"), options))

    def sheet(self, series: str) -> Path:
        """Draw a contact sheet of one series; raise Rejected where it has no pictures."""
        found = self.contact_sheets(series)
        if not found:
            raise Rejected(next(iter(self.refused), "the series has no pictures"))
        return found[0].files[0]

    def archive(self, kind: str, series: str | None = None) -> Path:
        """Return a ZIP of a conversion: nifti, bids, dicomdir, png, jpeg or sheet.

        Raises
        ------
        Rejected
            Nothing can be converted; the message says why.
        """
        files = self._files(kind, series)
        made = self._cache.make(
            name(f"{kind}-zip", sorted((key, str(path.parent.name), path.name) for key, path in files.items())),
            lambda folder: _zipped(files, folder / f"{self._label(series)}_{kind}.zip"),
        )
        return made.paths[0]

    def _label(self, series: str | None) -> str:
        """Name an archive by the pseudonym, and by its series where it is of one."""
        told = self._converters.orthanc.study(self._output)["PatientMainDicomTags"]
        if series is None:
            return names.fill("{PatientID}", told)
        return names.fill("{PatientID}", told) + "_" + self._sources(series)[0].stem

    def _files(self, kind: str, series: str | None) -> dict[str, Path]:
        if kind == "bids":
            return archives.files_of(self.bids())
        if kind == "dicomdir":
            return archives.files_of(self.dicomdir())
        each = {"nifti": self.nifti, "sheet": self.contact_sheets}.get(kind)
        found = each(series) if each else self.pictures(kind, series)
        files = {path.name: path for one in found for path in one.files}
        if len(files) < sum(len(one.files) for one in found):  # series of one name, pictures of many series
            files = {f"{number:03d}/{path.name}": path for number, one in enumerate(found, 1) for path in one.files}
        if not files:
            told = "; ".join(f"{reason} ({count} series)" for reason, count in self.refused.most_common())
            raise Rejected(told or "there is no series that can be converted")
        return files

    def _picture_options(self, kind: str) -> PictureOptions:
        from ..formats.pictures import PictureOptions

        return PictureOptions(**asdict_of(self._converters.conversion.pictures, PictureOptions) | {"kind": kind})

    def _sources(self, only: str | None = None) -> list[_Source]:
        orthanc = self._converters.orthanc
        instances: dict[str, list[dict[str, Any]]] = {}
        for one in orthanc.instances(self._output):
            if one["ID"] in self._allowed:
                instances.setdefault(one["ParentSeries"], []).append(one)
        gone = len(self._allowed.difference(*([i["ID"] for i in found] for found in instances.values())))
        if gone and instances:
            # A volume without some of its slices, in place of the whole one that was delivered before.
            raise Rejected(f"{gone} of {len(self._allowed)} instances of the result are no longer in this Orthanc")
        found = []
        for series in sorted(orthanc.series(self._output), key=_number):
            mine = sorted(instances.get(series["ID"], []), key=_number)
            if mine and only in (None, series["ID"]):
                content = tuple(sorted((i["ID"], str(i.get("FileUuid", ""))) for i in mine))
                tags = dict(series["MainDicomTags"])
                found.append(_Source(series["ID"], tags, tuple(i["ID"] for i in mine), content))
        if not found:
            raise NotFound("no de-identified instance of it is there")
        return found

    def _each(
        self, kind: str, only: str | None, made_of: dict[str, Any], task: Callable[[Series], Any],
        function: Callable[[Any], tuple[Path, Answer]],
    ) -> list[Converted]:  # fmt: skip
        """Take each series from the cache, or convert it; leave out those that cannot be converted."""
        sources = {name(kind, source.content, made_of): source for source in self._sources(only)}
        made = {key: found for key in sources if (found := self._cache.find(key))}
        missing = {self._cache.new(): key for key in sources if key not in made}
        tasks = [
            task(self._series(sources[key].instances, folder, sources[key].stem)) for folder, key in missing.items()
        ]
        try:
            answers = list(self._run(function, tasks))
            if answers:
                self._demand_same([source.content for source in sources.values()], only)
            for folder, answer in answers:
                made[missing[folder]] = self._cache.keep(folder, missing[folder], answer)
        finally:
            for folder in missing:
                self._cache.discard(folder)
        self.refused = Counter(one.refused for one in made.values() if one.refused)
        return [
            Converted(source.id, made[key].paths, made[key].remarks, source.of(made[key].files))
            for key, source in sources.items()
            if not made[key].refused
        ]

    def _demand_same(self, content: Sequence[tuple[tuple[str, str], ...]], only: str | None = None) -> None:
        """Raise Retriable where other files took the place of those that were to be converted."""
        if [source.content for source in self._sources(only)] != list(content):
            raise Retriable("the study changed while it was converted")

    def _one(self, key: str, task: Callable[[Path], ToPictures]) -> Path:
        made = self._cache.make(key, lambda folder: next(self._run(to_pictures, [task(folder)]))[1])
        if made.refused:
            raise Rejected(made.refused)
        return made.paths[0]

    def _series(self, instances: tuple[str, ...], out: Path, stem: str) -> Series:
        return Series(self._converters.orthanc.address, instances, out, stem)

    def _run(
        self, function: Callable[[Any], tuple[Path, Answer]], tasks: Sequence[Any]
    ) -> Iterator[tuple[Path, Answer]]:
        if tasks:
            seconds = self._converters.conversion.nifti.timeout_s + MORE_S
            yield from self._converters.processes().map(function, tasks, seconds)

    def _bids(self) -> Made:
        converted = self.nifti()
        rules = trees.bids_rules(self._converters.conversion, self._converters.templates)
        labels = self._given()
        key = name("bids", _names(converted), asdict(rules), *_mark(labels))
        return self._cache.make(key, lambda folder: trees.bids(converted, self._told(labels), folder, rules))

    def _given(self) -> Labels:
        return self._labels(self._converters.orthanc.study(self._output))

    def _told(self, labels: Labels) -> trees.Told:
        """Read what names are made of: the values of the de-identified study."""
        orthanc = self._converters.orthanc
        sources = self._sources()
        told = orthanc.study(self._output)
        tags = orthanc.get(f"/instances/{sources[0].instances[0]}/simplified-tags")
        study = {keyword: tags[keyword] for keyword in TOLD if isinstance(tags.get(keyword), str)}
        study |= {**told["PatientMainDicomTags"], **told["MainDicomTags"]}
        return trees.Told(self._project, study, {source.id: source.tags for source in sources}, labels)

    def _dicomdir(self) -> Made:
        from ..formats import dicomdir

        sources = self._sources()

        def make(folder: Path) -> Answer:
            with TemporaryDirectory(prefix=".dicom-", dir=folder) as work:
                files = fetch(self._converters.orthanc, [i for s in sources for i in s.instances], Path(work))
                dicomdir.media(files, folder / "media")
            self._demand_same([source.content for source in sources])
            return Answer(tuple(f"media/{key}" for key in archives.files_of(folder / "media")))

        return self._cache.make(name("dicomdir", [source.content for source in sources]), make)


def asdict_of(settings: Any, options: Any) -> dict[str, Any]:  # noqa: ANN401  # a settings model, a dataclass
    """Return those values of a settings model that an options dataclass has."""
    names_ = {field.name for field in fields(options)}
    return {key: value for key, value in settings.model_dump().items() if key in names_}


def _names(converted: Sequence[Converted]) -> list[tuple[str, list[str]]]:
    """Return what tells conversions from others: the series and the names of the folders, which are hashes."""
    return sorted((one.series, [f"{path.parent.name}/{path.name}" for path in one.files]) for one in converted)


def _mark(labels: Labels) -> tuple[list[str], ...]:
    """Return what tells trees of one content apart by their names; nothing where no label is given."""
    return ([labels.subject, labels.session],) if labels != Labels() else ()


def _zipped(files: dict[str, Path], out: Path) -> Answer:
    archives.zip_files(files, out)
    return Answer((out.name,))


def _number(resource: dict[str, Any]) -> tuple[int, str]:
    """Order by SeriesNumber or InstanceNumber, then by Orthanc id."""
    tags = resource["MainDicomTags"]
    text = str(tags.get("SeriesNumber") or tags.get("InstanceNumber") or "")
    return (int(text) if text.lstrip("-").isdigit() else 0, str(resource["ID"]))
