"""BIDS trees: converted series under the names that rules give them, with the tables and texts of a dataset."""

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel

from ..errors import Rejected
from . import atomic, bids_dataset, tables
from .bids_merge import ORIGIN_COLUMNS, ORIGINS, merge, put
from .bids_rules import ENTITIES, BidsRules, Placed, Rule, label, place

_OLDEST = 89  # years: above it age is not told, HIPAA 164.514(b)(2)(i)(C)
_VECTORS = (".bval", ".bvec")
_BEFORE_RUN = ENTITIES[: ENTITIES.index("run")]
_BEHIND_RUN = ENTITIES[ENTITIES.index("run") + 1 :]


@dataclass(frozen=True)
class BidsSeries:
    """One converted series of de-identified data."""

    key: str  # tells it from others: its SeriesInstanceUID; only a hash is kept
    subject: str  # PatientID
    session: str  # label of the session; empty for a tree without sessions
    files: tuple[Path, ...]  # *.nii.gz, *.json, *.bval, *.bvec
    fields: Mapping[str, Any]  # what rules can ask beside the sidecar: SeriesDescription, Modality, SeriesNumber, ...
    acquired: str = ""  # YYYY-MM-DDThh:mm:ss, for scans.tsv


@dataclass(frozen=True)
class Left:
    """A series or image that has no place in the tree."""

    series: str  # as hashed
    number: str  # SeriesNumber
    reason: str


@dataclass(frozen=True)
class Tree:
    """A tree and what is not in it."""

    path: Path
    unmatched: tuple[Left, ...]


@dataclass
class _Image:
    """One image with its sidecar, and the name it is to have."""

    series: BidsSeries
    stem: Path  # without .nii.gz
    fields: dict[str, Any]
    sidecar: dict[str, Any]
    placed: Placed
    run: int = 0  # 0: it is the only one of its name
    add: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        return self.placed.rule

    @property
    def session_folder(self) -> str:
        session = label(self.series.session)
        return f"sub-{label(self.series.subject)}" + (f"/ses-{session}" if session else "")

    def path(self, run: int) -> str:
        """Return the path in the tree without suffix."""
        parts = [self.session_folder.replace("/", "_"), *self._entities(_BEFORE_RUN)]
        parts += [f"run-{run:02d}"] if run else []
        parts += [*self._entities(_BEHIND_RUN), self.rule.suffix]
        root = "sourcedata/" if self.rule.sourcedata else ""
        return f"{root}{self.session_folder}/{self.rule.datatype}/{'_'.join(parts)}"

    def _entities(self, wanted: Sequence[str]) -> Iterator[str]:
        yield from (f"{key}-{self.placed.entities[key]}" for key in wanted if key in self.placed.entities)


def tree(series: Sequence[BidsSeries], out: Path, rules: BidsRules) -> Path:
    """Lay series out as a BIDS dataset; one that is there already is added to, and nothing in it is doubled."""
    return build(series, out, rules).path


def build(series: Sequence[BidsSeries], out: Path, rules: BidsRules) -> Tree:
    """Lay out as `tree` does, and tell what has no place.

    Raises
    ------
    Rejected
        Two patients would become one, or a patient has no id.
    """
    images, left = _plan(series, rules)
    if not out.exists():
        with atomic.folder(out) as temporary:
            _write(images, left, series, temporary, rules)
        return Tree(out, tuple(left))
    fresh = out.parent / f".{out.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        _write(images, left, series, fresh, rules)
        merge(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Tree(out, tuple(left))


def hashed(text: str) -> str:
    """Return what stands for an id in the tree."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plan(series: Sequence[BidsSeries], rules: BidsRules) -> tuple[list[_Image], list[Left]]:
    _subjects(series)
    images: list[_Image] = []
    left: list[Left] = []
    for one in sorted(series, key=lambda each: (each.subject, each.session, _number(each), each.key)):
        for image in _images(one):
            found = place(image.fields, rules.rules) or _unmatched(rules)
            if found and not found.rule.skip:
                image.placed = found
                images.append(image)
            else:
                left.append(_left(one, found.rule.skip if found else "no rule matches"))
    for image in [image for image in images if image.rule.suffix == "phasediff" and not image.rule.sourcedata]:
        if not _echo_times(image, images):
            images.remove(image)
            left.append(_left(image.series, "a phase difference without the echo times of its magnitudes"))
    _number_runs(images)
    return images, left


def _subjects(series: Sequence[BidsSeries]) -> None:
    ids: dict[str, set[str]] = defaultdict(set)
    for one in series:
        ids[label(one.subject)].add(one.subject)
    if "" in ids:
        raise Rejected("a patient has no id that BIDS can name")
    if any(len(same) > 1 for same in ids.values()):
        raise Rejected("two patients would have one label in BIDS: their ids differ only in signs")


def _images(series: BidsSeries) -> Iterator[_Image]:
    stems = sorted(path.with_name(path.name.removesuffix(".nii.gz")) for path in series.files if _is_image(path))
    for stem in stems:
        text = stem.with_name(f"{stem.name}.json")
        sidecar = json.loads(text.read_text(encoding="utf-8")) if text in series.files else {}
        shape = nibabel.load(stem.with_name(f"{stem.name}.nii.gz")).shape  # type: ignore[attr-defined]  # an image
        facts = {
            "images": len(stems), "slices": shape[2] if len(shape) > 2 else 1,  # noqa: PLR2004  # third dimension
            "volumes": shape[3] if len(shape) > 3 else 1,  # noqa: PLR2004  # fourth dimension
            "description": [series.fields.get(key, "") for key in ("SeriesDescription", "ProtocolName")],
            "has_bval": stem.with_name(f"{stem.name}.bval") in series.files,
        }  # fmt: skip
        yield _Image(series, stem, {**series.fields, **sidecar, **facts}, sidecar, Placed(Rule("none", {}), {}))


def _is_image(path: Path) -> bool:
    return path.name.endswith(".nii.gz")


def _unmatched(rules: BidsRules) -> Placed | None:
    if rules.unmatched != "sourcedata":
        return None
    return Placed(Rule("unmatched", {}, "unmatched", "unmatched", sourcedata=True), {})


def _left(series: BidsSeries, reason: str) -> Left:
    return Left(hashed(series.key), str(series.fields.get("SeriesNumber") or tables.NOTHING), reason)


def _number(series: BidsSeries) -> int:
    text = str(series.fields.get("SeriesNumber") or "")
    return int(text) if text.lstrip("-").isdecimal() else 2**31


def _echo_times(image: _Image, images: Sequence[_Image]) -> bool:
    """Give a phase difference the echo times of the magnitudes beside it, which BIDS requires."""
    wanted = ("EchoTime1", "EchoTime2")
    if all(key in image.sidecar for key in wanted):
        return True
    for key, suffix in zip(wanted, ("magnitude1", "magnitude2"), strict=True):
        times = [
            other.sidecar["EchoTime"]
            for other in images
            if other.rule.suffix == suffix and other.session_folder == image.session_folder
            and "EchoTime" in other.sidecar
        ]  # fmt: skip
        if times:
            image.add[key] = times[0]
    return set(wanted) <= {*image.add, *image.sidecar}


def _number_runs(images: Sequence[_Image]) -> None:
    count = Counter(image.path(0) for image in images)
    seen: Counter[str] = Counter()
    for image in images:
        if count[image.path(0)] > 1:
            seen[image.path(0)] += 1
            image.run = seen[image.path(0)]


def _write(
    images: Sequence[_Image], left: Sequence[Left], series: Sequence[BidsSeries], out: Path, rules: BidsRules
) -> None:
    for image in images:
        _write_image(image, out)
    for folder in sorted({image.session_folder for image in images if not image.rule.sourcedata}):
        mine = [image for image in images if image.session_folder == folder and not image.rule.sourcedata]
        scans = tables.Table(["filename", "acq_time"])
        scans.merge((_scan(image, rules) for image in mine), "filename")
        tables.write(out / folder / f"{folder.replace('/', '_')}_scans.tsv", scans)
    present = {image.series.subject for image in images if not image.rule.sourcedata}
    bids_dataset.write(out, rules, [_participant(one, rules) for one in series if one.subject in present])
    origins = tables.Table(list(ORIGIN_COLUMNS))
    origins.merge((_origin(image) for image in images), "filename")
    tables.write(out / ORIGINS, origins)
    if left:
        told = tables.Table(["series", "series_number", "reason"])
        told.merge(({"series": e.series, "series_number": e.number, "reason": e.reason} for e in left), "series")
        tables.write(out / "sourcedata/unmatched.tsv", told)


def _write_image(image: _Image, out: Path) -> None:
    target = out / image.path(image.run)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffixes = [".nii.gz", *(_VECTORS if image.rule.datatype == "dwi" or image.rule.sourcedata else ())]
    for suffix in suffixes:
        source = image.stem.with_name(image.stem.name + suffix)
        if source in image.series.files:
            put(source, target.with_name(target.name + suffix))
    task = {"TaskName": image.placed.entities["task"]} if "task" in image.placed.entities else {}
    sidecar = {**task, **image.rule.sidecar, **image.sidecar, **image.add}
    if image.rule.volumes:
        kinds = image.rule.volumes
        lines = ["volume_type", *(kinds[at % len(kinds)] for at in range(image.fields["volumes"]))]
        target.with_name(f"{target.name}context.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n"
    target.with_name(f"{target.name}.json").write_text(text, encoding="utf-8")


def _scan(image: _Image, rules: BidsRules) -> dict[str, str]:
    name = image.path(image.run).removeprefix(f"{image.session_folder}/")
    acquired = image.series.acquired if rules.acquisition_times else ""
    return {"filename": f"{name}.nii.gz", "acq_time": acquired or tables.NOTHING}


def _origin(image: _Image) -> dict[str, str]:
    return {
        "filename": image.path(image.run), "planned": image.path(0), "series": hashed(image.series.key),
        "subject": hashed(image.series.subject), "rule": image.rule.name,
    }  # fmt: skip


def _participant(series: BidsSeries, rules: BidsRules) -> dict[str, str]:
    values = {
        "age": _age(str(series.fields.get("PatientAge") or "")),
        "sex": str(series.fields.get("PatientSex") or ""),
    }
    known = {column: values[column] or tables.NOTHING for column in rules.participant_columns}
    return {"participant_id": f"sub-{label(series.subject)}", **known}


def _age(text: str) -> str:
    """Return years of an AS value, PS3.5 6.2."""
    years = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
    if len(text) != 4 or not text[:3].isdecimal() or text[3] not in years:  # noqa: PLR2004  # nnnY
        return ""
    return f"{min(_OLDEST, int(text[:3]) / years[text[3]]):.4g}"
