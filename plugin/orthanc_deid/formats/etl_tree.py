"""The tree of image-deid-etl: `{program}/{site}/NIfTIs/{project}/{subject}/{session}/{NN - SeriesDescription}/`."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel

from ..errors import Rejected
from . import atomic, names
from .bids_merge import put

NIFTIS, SHORT, TO_CHECK = "NIfTIs", "NIfTIs_short_json", "NIfTIs_to_check"
_ORIGIN = ".study"  # in a session's folder: a hash of the study that it is of
_OTHER = re.compile(r"[^A-Za-z0-9 ._+()-]+")
_ZONED = re.compile(r"[ _]+[0-9][0-9 _:./-]{7,}(?:EDT|EST|PDT|PST)$")  # a date and time that a scanner wrote
_LONGEST = 100


@dataclass(frozen=True)
class EtlRules:
    """What is dropped, and what must be looked at first."""

    dropped: tuple[str, ...] = ()  # words in a SeriesDescription, any case
    removed_keys: tuple[str, ...] = ()  # of sidecars
    minimum_keys: int = 0  # of a sidecar that is not of CT; 0: not checked
    wanted_type: str = ""  # of voxels: int16; empty: not checked
    exempt: tuple[str, ...] = ()  # words in a file's name, from both checks
    exempt_from_keys: tuple[str, ...] = ()  # words in a file's name, from the first


@dataclass(frozen=True)
class Place:
    """Where a study stands."""

    program: str
    site: str
    project: str
    subject: str
    session: str  # by session_labels
    study: str  # StudyInstanceUID; only a hash is kept


@dataclass(frozen=True)
class EtlSeries:
    """One converted series."""

    key: str  # SeriesInstanceUID, which orders series of one number
    number: int | None
    description: str
    modality: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class EtlTree:
    """The folders of the session that were written, and why series are not in the first."""

    folders: tuple[Path, ...]
    remarks: tuple[str, ...]


def tree(series: Sequence[EtlSeries], place: Place, out: Path, rules: EtlRules) -> EtlTree:
    """Lay the converted series of one study out; what was written of the same study before is replaced."""
    chosen: dict[str, list[tuple[str, EtlSeries]]] = {NIFTIS: [], SHORT: [], TO_CHECK: []}
    remarks = []
    taken: set[str] = set()
    for one in sorted(series, key=lambda each: (each.number if each.number is not None else 2**31, each.key)):
        if drops(one.description, rules):
            remarks.append(f"series {_number(one)}: left out by its description")
            continue
        folder = _unique(_folder(one), taken)
        where = next(filter(None, (check(path, one, rules) for path in one.files)), NIFTIS)
        chosen[where].append((folder, one))
        if where != NIFTIS:
            remarks.append(f"series {_number(one)}: below {where}")
    session = _session(place, out)
    folders = []
    for where, found in chosen.items():
        target = _path(out, where, place, session)
        if found:
            _write(found, target, place, rules)
            folders.append(target)
        elif target.exists():
            shutil.rmtree(target)
    return EtlTree(tuple(folders), tuple(remarks))


def drops(description: str, rules: EtlRules) -> bool:
    """Tell whether a series is left out by its description."""
    return any(word.casefold() in description.casefold() for word in rules.dropped)


def check(path: Path, series: EtlSeries, rules: EtlRules) -> str:
    """Return the tree of what must be looked at first; empty where nothing is odd."""
    name = _safe(series.description)
    if any(word in name for word in rules.exempt):
        return ""
    if path.name.endswith(".json") and series.modality != "CT" and rules.minimum_keys:
        few = len(json.loads(path.read_text(encoding="utf-8"))) < rules.minimum_keys
        return SHORT if few and not any(word in name for word in rules.exempt_from_keys) else ""
    if path.name.endswith(".nii.gz") and rules.wanted_type:
        return "" if nibabel.load(path).get_data_dtype() == rules.wanted_type else TO_CHECK  # type: ignore[attr-defined]  # an image
    return ""


def _session(place: Place, out: Path) -> str:
    """Return the session's folder: another study of the same label gets the next number."""
    number = 1
    while True:
        session = place.session if number == 1 else f"{place.session}_{number}"
        marks = [_path(out, where, place, session) / _ORIGIN for where in (NIFTIS, SHORT, TO_CHECK)]
        if all(mark.read_text() == _mark(place) if mark.is_file() else not mark.parent.exists() for mark in marks):
            return session
        number += 1


def _path(out: Path, where: str, place: Place, session: str) -> Path:
    parts = (place.program, place.site, where, place.project, place.subject, session)
    return out.joinpath(*(names.part(part) for part in parts))


def _mark(place: Place) -> str:
    return hashlib.sha256(place.study.encode()).hexdigest()


def _write(found: Sequence[tuple[str, EtlSeries]], target: Path, place: Place, rules: EtlRules) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.folder(target) as temporary:
        (temporary / _ORIGIN).write_text(_mark(place))
        for folder, one in found:
            (temporary / folder).mkdir()
            stems = sorted({_stem(path) for path in one.files})
            for path in one.files:
                stem, suffix = _stem(path), path.name[len(_stem(path)) :]
                number = f"_{stems.index(stem) + 1}" if len(stems) > 1 else ""
                _put(path, temporary / folder / f"{_safe(one.description)}{number}{suffix}", rules)


def _put(source: Path, target: Path, rules: EtlRules) -> None:
    if not source.name.endswith(".json"):
        put(source, target)
        return
    sidecar: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    kept = {key: value for key, value in sidecar.items() if key not in rules.removed_keys} | _spacing(source)
    target.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _spacing(sidecar: Path) -> dict[str, Any]:
    """Return the size of a voxel in mm under the names that readers of these trees know."""
    image = sidecar.with_name(f"{_stem(sidecar)}.nii.gz")
    if not image.is_file():
        return {}
    sizes = nibabel.load(image).header.get_zooms()  # type: ignore[attr-defined]  # an image
    return {f"dim{at}": round(float(size), 6) for at, size in enumerate(sizes[:3], 1)}


def _stem(path: Path) -> str:
    for suffix in (".nii.gz", ".json", ".bval", ".bvec"):
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)]
    raise Rejected("a file is no part of a conversion to NIfTI")


def _folder(series: EtlSeries) -> str:
    return f"{_number(series)} - {_safe(series.description)}"


def _number(series: EtlSeries) -> str:
    return "00" if series.number is None else f"{series.number:02d}"


def _safe(description: str) -> str:
    clean = _OTHER.sub("_", _ZONED.sub("", description.strip())).strip(" .")
    return clean[:_LONGEST].rstrip(" .") or "none"


def _unique(folder: str, taken: set[str]) -> str:
    number, name = 0, folder
    while name.casefold() in taken:
        number += 1
        name = f"{folder} ({number})"
    taken.add(name.casefold())
    return name
