"""Writes who became whom: the only files of the folder door that hold identities, besides IN."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError

Pair = tuple[str, str]  # old id, new id
UIDS, PATIENTS, MANIFEST = "uid_mapping.csv", "patid_mapping.csv", "manifest.json"


def write(folder: Path, uids: Iterable[Pair], patients: Iterable[Pair], manifest: Mapping[str, Any]) -> None:
    """Write the two mappings and the manifest; a reader sees the old file or the new one.

    Raises
    ------
    ConfigurationError
        The folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(folder / UIDS, _table(uids))
        _replace(folder / PATIENTS, _table(patients))
        _replace(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigurationError(f"--mapping-dir cannot be written ({os.strerror(error.errno or 0)})") from None


def _table(pairs: Iterable[Pair]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id_old", "id_new"))
    rows.writerows(sorted(set(pairs)))
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
