"""The file of Orthanc study ids that image-deid-etl has processed: a JSON array, or ids in the lines of a text."""

import json
import re
from collections.abc import Iterator
from typing import TextIO

_ID = re.compile(r"(?<![0-9A-Za-z-])[0-9a-f]{8}(?:-[0-9a-f]{8}){4}(?![0-9A-Za-z-])")


class NotIds(ValueError):
    """The file is something else; the message does not repeat what it holds."""


class UuidFile:
    """Yields the ids of a file, in its order; `passed_over` counts lines with something else."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.passed_over = 0

    def __iter__(self) -> Iterator[str]:
        """Yield them.

        Raises
        ------
        NotIds
            It is neither, or holds no id at all.
        """
        found = False
        for line in self._file:
            if not found and line.lstrip().startswith("["):
                yield from _of_array(line + self._file.read())
                return
            ids = _ID.findall(line)
            found = found or bool(ids)
            self.passed_over += not ids and bool(line.strip())
            yield from ids
        if not found:
            raise NotIds("the file holds no Orthanc id")


def _of_array(text: str) -> list[str]:
    try:
        values = json.loads(text)
    except ValueError:
        raise NotIds("the file begins like a JSON array and is none") from None
    for number, value in enumerate(values, 1):
        if not isinstance(value, str) or not _ID.fullmatch(value.strip()):
            raise NotIds(f"entry {number} of the array is not an Orthanc id")
    return [value.strip() for value in values]
