"""`pull --save`: copies of what was retrieved, in the tree of the older CSV tool. They are identified."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..batches.lists.report import SeriesRow
from ..batches.lists.tree import Tree
from ..pacs import uids
from .info import Cells, write_log
from .server import Server


@dataclass(frozen=True)
class Saved:
    """How many instances are in the folder, and whether they name their patients."""

    instances: int
    identified: bool


def save(server: Server, batch: int, folder: Path, cells: Cells) -> Saved:
    """Write every instance that a batch has brought, but what is there already; each study tells who took it."""
    tree = Tree(folder)
    found: dict[str, list[SeriesRow]] = {}
    told = server.call("POST", f"/deid/batches/{batch}/copies")
    for item in told["items"]:
        for study in item["studies"]:
            if study not in found:
                of = cells.get(item["line"], {})
                found[study] = [SeriesRow(of, *series) for series in _save_study(server, study, tree)]
    series = [each for rows in found.values() for each in rows]
    write_log(folder, series)
    return Saved(sum(each.files for each in series), bool(told["identified"]))


def _save_study(server: Server, study: str, tree: Tree) -> Iterator[tuple[str, str, int]]:
    """Yield StudyInstanceUID, SeriesNumber and the number of files of each series that is saved."""
    if not server.exists(f"/studies/{study}"):
        click.echo(f"{study}: no longer in this Orthanc, not saved", err=True)
        return
    told = server.call("GET", f"/studies/{study}")
    attributes = {**told["PatientMainDicomTags"], **told["MainDicomTags"]}
    for series in told["Series"]:
        found = attributes | server.call("GET", f"/series/{series}")["MainDicomTags"]
        instances = server.call("GET", f"/series/{series}/instances")
        place = tree.folder(found)
        for instance in instances:
            _save_instance(server, instance, place)
        yield found["StudyInstanceUID"], found.get("SeriesNumber", ""), len(instances)


def _save_instance(server: Server, instance: dict[str, Any], place: Path) -> None:
    uid = instance["MainDicomTags"]["SOPInstanceUID"]
    # What an archive sends for a UID can be a path: nothing is written elsewhere.
    path = place / f"{uid if uids.is_one(uid) else instance['ID']}.dcm"
    if path.exists() and path.stat().st_size == instance["FileSize"]:
        return
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(server.get(f"/instances/{instance['ID']}/file").content)
    part.replace(path)
