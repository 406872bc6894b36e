"""What a destination of files is to hold of a study: one item for each file, named from de-identified values alone.

The order is that of series (number, UID) and instances (number, UID). A name that does not hold the UIDs of its
instance or series is claimed in the journal at first sight: the second that would have it gets `_2`, and keeps it in
every later version, whatever comes late.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ...errors import NotFound, Rejected
from ...formats import names, tables
from ...settings.file_names import LEVELS, Content
from ...settings.files import Files
from ..base import Converted, Receipt, Shipment
from ..remarks import of_conversions

# Everything that can be in a name: of study and patient, of series, of instance.
_FIELDS = frozenset(names.FIELDS["instance"])
_LAST = 2**31


@dataclass(frozen=True)
class Item:
    """One file that is to be at the destination; either an instance, a file that is there, or an archive to be made."""

    key: str
    kind: Content
    unit: str  # the folder that appears as a whole, a prefix of the key; empty: the file by itself
    ours: bool  # no other study can have this name
    values: Mapping[str, str]  # that names and metadata are made from
    instance: str | None = None  # Orthanc id
    path: Path | None = None
    members: Mapping[str, str] = field(default_factory=dict)  # of an archive: name inside to Orthanc id
    version: int = 1  # of the study, at which an archive was made


class Contents:
    """Walks over the items of a shipment, as often as is asked; nothing is fetched but names."""

    def __init__(self, shipment: Shipment, settings: Files) -> None:
        self._shipment = shipment
        self._settings = settings
        facts = shipment.facts()
        tags = {**facts.get("PatientMainDicomTags", {}), **facts["MainDicomTags"]}
        self.study = {k: str(v) for k, v in tags.items() if k in _FIELDS or k == "PatientSex"}
        self.study["project"] = settings.project_name(shipment.project)
        self.study |= shipment.labels(facts).fields(self.study)
        self.remarks: dict[str, None] = {}  # in order, each once: items are walked over several times

    def manifest(self) -> Item:
        """Return the item of the manifest itself; its kind means nothing."""
        template = self._settings.manifest_template()
        key = names.fill(template, self.study)
        return Item(key, "dicom", _unit(template, key), ours=True, values=self.study)

    def items(self, archived: Mapping[int, frozenset[str]] = MappingProxyType({})) -> Iterator[Item]:
        """Yield every item of every content.

        Parameters
        ----------
        archived
            Orthanc ids of the instances that the archives of earlier versions hold, by version.
        """
        seen: set[bytes] = set()
        for content in self._settings.content:
            for item in self._of(content, archived):
                mark = hashlib.blake2b(item.key.encode(), digest_size=8).digest()
                if mark in seen:
                    raise Rejected("two files would get one name: the template of the names must tell them apart")
                seen.add(mark)
                yield item

    def series(self) -> Iterator[tuple[str, Mapping[str, str], list[str]]]:
        """Yield Orthanc id, values and instances of each series, in the order of number and UID."""
        found = self._shipment.orthanc.series(self._shipment.output)
        for each in sorted(found, key=lambda s: _order(s["MainDicomTags"], "SeriesNumber", "SeriesInstanceUID")):
            yield each["ID"], {**self.study, **_values(each["MainDicomTags"])}, each["Instances"]

    def instances(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield Orthanc id and values of each instance of the shipment that our Orthanc still has."""
        wanted = set(self._shipment.all)
        for series, values, _ in self.series():
            try:
                found = self._shipment.orthanc.get(f"/series/{series}/instances?expand")
            except NotFound:  # withdrawn meanwhile
                continue
            for each in sorted(found, key=lambda i: _order(i["MainDicomTags"], "InstanceNumber", "SOPInstanceUID")):
                if each["ID"] in wanted:
                    yield each["ID"], {**values, **_values(each["MainDicomTags"])}

    def _of(self, content: Content, archived: Mapping[int, frozenset[str]]) -> Iterator[Item]:
        results = self._shipment.results
        if content == "dicom":
            yield from self._dicom()
        elif content in {"zip", "tar.gz"}:
            yield from self._archives(content, archived)
        elif content == "nifti":
            yield from self._converted(content, results.nifti())
        elif content in {"png", "jpeg"}:
            yield from self._converted(content, results.pictures(content))
        elif content == "bids":
            yield from self._tree(content, self._noted(results.bids()))
        else:
            yield from self._tree(content, results.etl() if content == "etl" else results.dicomdir())

    def _dicom(self) -> Iterator[Item]:
        template = self._settings.template("dicom")
        for instance, values in self.instances():
            uids = (values.get("SeriesInstanceUID", ""), values.get("SOPInstanceUID", ""))
            key = self._name("dicom", template, values, instance, uids)
            yield self._item(key, "dicom", values, instance=instance)

    def _converted(self, content: Content, results: Any) -> Iterator[Item]:  # noqa: ANN401  # sequence of Converted
        template = self._settings.template(content)
        made: dict[str, Converted] = {each.series: each for each in results}
        told = of_conversions(content, made.values(), self._shipment.results.refused)
        self.remarks |= dict.fromkeys(told)
        for series, values, _ in self.series():
            if series not in made:
                continue
            folder = self._name(content, template, values, series, (values.get("SeriesInstanceUID", ""),))
            for path in sorted(made[series].files):
                yield self._item(f"{folder}/{names.part(path.name)}", content, values, path=path)

    def _tree(self, content: Content, folder: Path) -> Iterator[Item]:
        prefix = names.fill(self._settings.template(content), self.study)
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            yield self._item(key, content, self.study, path=path)

    def _noted(self, tree: Path) -> Path:
        left = unplaced(tree)
        if left:
            self.remarks[f"images without a place in the BIDS tree: {left}"] = None
        return tree

    def _archives(self, content: Content, archived: Mapping[int, frozenset[str]]) -> Iterator[Item]:
        key = names.fill(self._settings.template(content), self.study)
        version = self._shipment.version
        if self._settings.late_archives == "replace":
            yield self._archive(content, key, set(self._shipment.all), version)
            return
        new = set(self._shipment.all)
        for earlier, held in sorted(archived.items()):
            if earlier < version:
                new -= held
                yield self._archive(content, _versioned(key, earlier), set(held), earlier)
        if new:
            yield self._archive(content, _versioned(key, version), new, version)

    def _archive(self, content: Content, key: str, held: set[str], version: int) -> Item:
        """Return an archive; without members where our Orthanc does not have all of them any more."""
        members = self._members(key, held)
        complete = members if len(members) == len(held) else {}
        return self._item(key, content, self.study, members=complete, version=version)

    def _members(self, key: str, wanted: set[str]) -> dict[str, str]:
        """Map the names inside an archive to Orthanc ids; the second of a name gets `_2`."""
        folder = PurePosixPath(key).name.removesuffix(".gz").removesuffix(".tar").removesuffix(".zip")
        members: dict[str, str] = {}
        folded: set[str] = set()
        for instance, values in self.instances():
            if instance not in wanted:
                continue
            name = f"{folder}/{names.fill(self._settings.archive_template(), values)}"
            free = next(n for n in (_numbered(name, i) for i in range(1, _LAST)) if n.casefold() not in folded)
            folded.add(free.casefold())
            members[free] = instance
        return members

    def _item(self, key: str, content: Content, values: Mapping[str, str], **more: Any) -> Item:  # noqa: ANN401
        uids = [values[name] for name in ("StudyInstanceUID", "SeriesInstanceUID") if values.get(name)]
        unit = _unit(self._settings.template(content), key, is_folder=content not in {"dicom", "zip", "tar.gz"})
        return Item(key, content, unit, ours=any(uid in key for uid in uids), values=values, **more)

    def _name(
        self, content: Content, template: str, values: Mapping[str, str], owner: str, uids: tuple[str, ...]
    ) -> str:
        """Return the name of an instance, or of the folder of a series; the same in every version."""
        if "{n" not in template:
            name = names.fill(template, values)
            if all(uid and uid in name for uid in uids):
                return name
        base = names.fill(template, {**values, "n": "0"})
        journal = self._shipment.journal
        claim = f"claim {content} {owner}"
        claimed = journal.get(claim)
        if claimed and claimed.remote == _digest(base)[:16]:
            return _nth(template, values, base, claimed.size)
        last = journal.get(f"last {content} {base}")
        number = last.size + 1 if last else 1
        while (taken := journal.get(f"name {content} {_nth(template, values, base, number)}")) and (
            taken.sha256 != _digest(owner)
        ):
            number += 1
        name = _nth(template, values, base, number)
        # In this order a kill in between skips a number and gives none twice.
        journal.put(f"last {content} {base}", Receipt(number, ""))
        journal.put(f"name {content} {name}", Receipt(number, _digest(owner)))
        journal.put(claim, Receipt(number, "", _digest(base)[:16]))
        return name


def unplaced(tree: Path) -> int:
    """Return how many images of a study have no place in its BIDS tree."""
    return len(tables.read(tree / "sourcedata" / "unmatched.tsv", ("series",)).rows)


def _nth(template: str, values: Mapping[str, str], base: str, number: int) -> str:
    if "{n" in template:
        return names.fill(template, {**values, "n": str(number)})
    return _numbered(base, number)


def _numbered(name: str, number: int) -> str:
    """Return the name with `_2` before its suffix; the first has none."""
    if number == 1:
        return name
    folder, slash, last = name.rpartition("/")
    stem, suffix = _split(last)
    return f"{folder}{slash}{stem}_{number}{suffix}"


def _versioned(key: str, version: int) -> str:
    """Return the name of an archive of a later version: `_v2` before its suffix."""
    if version == 1:
        return key
    folder, slash, last = key.rpartition("/")
    stem, suffix = _split(last)
    return f"{folder}{slash}{stem}_v{version}{suffix}"


def _split(name: str) -> tuple[str, str]:
    """Part a file name from its suffix; a dot of a UID begins none."""
    for suffix in (".tar.gz", ".nii.gz", ".tgz", ".zip", ".dcm"):
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ""


def _unit(template: str, key: str, *, is_folder: bool = False) -> str:
    """Return the folder of the key that belongs to one study: up to the first part that tells studies apart."""
    parts = template.split("/")
    own = [
        i for i, part in enumerate(parts) if any(f"{{{f}" in part for f in ("StudyInstanceUID", "AccessionNumber"))
    ] or [i for i, part in enumerate(parts) if any(f in part for f in ("{StudyDate", "{StudyID", "{session"))]
    if not own or (own[0] == len(parts) - 1 and not is_folder):
        return ""
    return "/".join(key.split("/")[: own[0] + 1])


def _values(tags: Mapping[str, Any]) -> dict[str, str]:
    return {k: str(v) for k, v in tags.items() if k in _FIELDS}


def _order(tags: Mapping[str, Any], number: str, uid: str) -> tuple[int, str]:
    text = str(tags.get(number, "")).strip()
    return (int(text) if text.lstrip("+-").isdecimal() and len(text) < len(str(_LAST)) else _LAST), tags.get(uid, "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


__all__ = ["LEVELS", "Contents", "Item"]
