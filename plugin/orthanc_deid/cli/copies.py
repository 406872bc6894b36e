"""`pull --save`: copies of what was retrieved, in the tree of the older CSV tool. They are identified."""

import os
from pathlib import Path
from typing import Any

import click

from ..batches.lists.tree import Tree
from .batch_answers import rows_of
from .server import Server


def save(server: Server, batch: int, folder: Path) -> int:
    """Write every instance that a batch has fetched, but what is there already; answer how many are there."""
    studies = {s["orthanc"]: None for row in rows_of(server, batch) for s in row["studies"] if s["orthanc"]}
    tree = Tree(folder)
    return sum(_save_study(server, study, tree) for study in studies)


def _save_study(server: Server, study: str, tree: Tree) -> int:
    if not server.exists(f"/studies/{study}"):
        click.echo(f"{study}: no longer in this Orthanc, not saved", err=True)
        return 0
    told = server.call("GET", f"/studies/{study}")
    attributes = {**told["PatientMainDicomTags"], **told["MainDicomTags"]}
    count = 0
    for series in told["Series"]:
        found = server.call("GET", f"/series/{series}")
        place = tree.folder(attributes | found["MainDicomTags"])
        for instance in server.call("GET", f"/series/{series}/instances"):
            _save_instance(server, instance, place)
            count += 1
    return count


def _save_instance(server: Server, instance: dict[str, Any], place: Path) -> None:
    path = place / f"{instance['MainDicomTags']['SOPInstanceUID']}.dcm"
    if path.exists() and path.stat().st_size == instance["FileSize"]:
        return
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(server.get(f"/instances/{instance['ID']}/file").content)
    part.replace(path)
