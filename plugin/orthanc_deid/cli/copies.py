"""`pull --save`: copies of what was retrieved, in the tree of the older CSV tool. They are identified."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..batches.lists.report import SeriesRow
from ..batches.lists.tree import Tree
from .batch_answers import rows_of
from .info import Cells, write_log
from .server import Server


def save(server: Server, batch: int, folder: Path, cells: Cells) -> int:
    """Write every instance that a batch has fetched, but what is there already; answer how many are there."""
    tree = Tree(folder)
    found: list[SeriesRow] = []
    for row in rows_of(server, batch):
        for study in row["studies"]:
            if study["orthanc"]:
                saved = _save_study(server, study["orthanc"], tree)
                found += [SeriesRow(cells.get(row["line"], {}), *series) for series in saved]
    write_log(folder, found)
    return sum(series.files for series in found)


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
    path = place / f"{instance['MainDicomTags']['SOPInstanceUID']}.dcm"
    if path.exists() and path.stat().st_size == instance["FileSize"]:
        return
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(server.get(f"/instances/{instance['ID']}/file").content)
    part.replace(path)
