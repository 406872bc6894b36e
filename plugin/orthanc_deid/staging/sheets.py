"""A CSV whose cells are changed in place: what is not touched stays as it was, byte for byte."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from ..batches.lists import columns, sheet
from .entries import COLUMNS, REVIEWS

_BOM = b"\xef\xbb\xbf"
_ENDS = re.compile(r"(\r\n|\r|\n)")


@dataclass(frozen=True)
class Sheet:
    """`lines` without their ends; `header` is the index of the line with the names, in `lines`."""

    lines: list[str]
    ends: list[str]
    header: int
    delimiter: str
    names: list[str]
    bom: bool

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Part a file.

        Raises
        ------
        ValueError
            It is another kind of file, or its header cannot be read.
        """
        parts = _ENDS.split(sheet.text_of(content))
        lines, ends = parts[::2], [*parts[1::2], ""]
        filled = [index for index, line in enumerate(lines) if line.strip(" ")]
        declared = sheet.declared(lines[filled[0]]) if filled else ""
        filled = filled[1:] if declared else filled
        header = filled[0] if filled else 0
        delimiter = declared or sheet.delimiter(lines[header], _is_known)
        names = [name.lower() for name in sheet.cells(lines[header], delimiter)]
        return cls(lines, ends, header, delimiter, names, content.startswith(_BOM))

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield line (from 1) and cells by name; raise ValueError where a line cannot be parted."""
        for index in range(self.header + 1, len(self.lines)):
            if self.lines[index].strip(" "):
                cells = sheet.cells(self.lines[index], self.delimiter)
                yield index + 1, dict(zip(self.names, cells, strict=False))

    def changed(self, marks: Mapping[int, Mapping[str, str]]) -> bytes:
        """Return the file with cells of some lines (from 1) set; columns that are new are added at the end."""
        new = list(dict.fromkeys(name for mark in marks.values() for name in mark))
        names = [*self.names, *(name for name in new if name not in self.names)]
        lines = list(self.lines)
        if added := names[len(self.names) :]:
            lines[self.header] += self.delimiter + self.delimiter.join(added)
        for number, mark in marks.items():
            cells = sheet.cells(lines[number - 1], self.delimiter)
            cells += [""] * (len(names) - len(cells))
            for name, value in mark.items():
                cells[names.index(name)] = value
            lines[number - 1] = self.line(cells)
        text = "".join(part for pair in zip(lines, self.ends, strict=True) for part in pair)
        return (_BOM if self.bom else b"") + text.encode("utf-8", "surrogateescape")

    def line(self, cells: list[str]) -> str:
        """Join cells to a line without its end."""
        file = io.StringIO()
        csv.writer(file, delimiter=self.delimiter, lineterminator="").writerow(cells)
        return file.getvalue()


def _is_known(name: str) -> bool:
    return columns.known(name) is not None or name.lower() in (*COLUMNS, *REVIEWS)
