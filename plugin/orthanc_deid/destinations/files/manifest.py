"""The manifest of a study at a destination of files: what is there, how large, with which SHA-256; written last."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ..base import Shipment

FORMAT = "orthanc-deid-manifest-1"
_METHOD = "0012,0063"  # De-identification Method


@dataclass(frozen=True)
class Entry:
    """One file; ids and UIDs are those of the de-identified study."""

    key: str
    kind: str
    size: int  # bytes
    sha256: str
    version: int  # of the study, at which it came
    instances: tuple[str, ...] = ()  # Orthanc ids of the instances in it


def write(path: Path, head: Mapping[str, Any], entries: Iterator[Entry]) -> None:
    """Write a manifest to a local path, an entry a line: a study of any size takes no memory."""
    count = size = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("{" + json.dumps(dict(head))[1:-1] + ',\n"files": [\n')
        for entry in entries:
            file.write((",\n" if count else "") + json.dumps(asdict(entry)))
            count, size = count + 1, size + entry.size
        file.write(f'\n],\n"count": {count},\n"bytes": {size}\n}}\n')


def read(text: bytes) -> list[Entry]:
    """Return the entries of a manifest.

    Raises
    ------
    ValueError
        It is not one.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError("not a manifest of this format")
        return [Entry(**{**each, "instances": tuple(each["instances"])}) for each in content["files"]]
    except (KeyError, TypeError) as error:
        raise ValueError("not a manifest") from error


def head(shipment: Shipment, study: Mapping[str, str], instance: str | None) -> dict[str, Any]:
    """Return what stands above the files: the same for the same state, so that nothing is rewritten for nothing.

    `instance` is one of the study that is in our Orthanc: it names the profile.
    """
    method = shipment.orthanc.tags(instance).get(_METHOD, {}).get("Value", "") if instance else ""
    return {
        "format": FORMAT,
        "software": f"orthanc-deid {__version__}",
        "project": shipment.project,
        "PatientID": study.get("PatientID", ""),
        "StudyInstanceUID": study.get("StudyInstanceUID", ""),
        "version": shipment.version,
        "DeidentificationMethod": method,
        "instances": len(shipment.all),
    }
