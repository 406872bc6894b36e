r"""A list as a program saved it: bytes, lines and cells, without any meaning yet.

Each line is parted by itself: no value of DICOM that can be asked for holds a line break, so that a quote that is not
closed costs one line and not all that follow.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DELIMITERS = (",", ";", "\t")
_SURROGATES = ("\ud800", "\udfff")
NOT_UTF8 = "is not UTF-8 (perhaps Latin-1, as older spreadsheets save): save it as `CSV UTF-8`"
_OTHER_FILES = (
    (b"PK\x03\x04", "is a workbook of a spreadsheet: save it as `CSV UTF-8`"),
    (b"\xd0\xcf\x11\xe0", "is a workbook of a spreadsheet: save it as `CSV UTF-8`"),
    (b"\xff\xfe", "is UTF-16: save it as `CSV UTF-8`"),
    (b"\xfe\xff", "is UTF-16: save it as `CSV UTF-8`"),
)


@dataclass(frozen=True)
class Row:
    """One line of the file that is not blank."""

    number: int  # from 1
    text: str

    def fault(self) -> str:
        """Say why the line cannot be read at all; empty where it can."""
        if self.text.isascii():
            return "" if "\x00" not in self.text else "holds a NUL: save it as `CSV UTF-8`"
        return NOT_UTF8 if any(_SURROGATES[0] <= letter <= _SURROGATES[1] for letter in self.text) else ""


def text_of(content: str | bytes) -> str:
    """Return the text of a file; bytes that are not UTF-8 become lone surrogates, which `Row.fault` tells by line.

    Raises
    ------
    ValueError
        It is another kind of file.
    """
    if isinstance(content, bytes):
        for start, what in _OTHER_FILES:
            if content.startswith(start):
                raise ValueError(f"the file {what}")
        content = content.decode("utf-8", "surrogateescape")
    return content.removeprefix("\ufeff")


def rows(text: str) -> Iterator[Row]:
    """Yield every line that is not blank, whatever ends it: LF, CRLF or CR."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip(" "):
            yield Row(number, line)


def declared(text: str) -> str:
    """Return the delimiter that a spreadsheet declares, `sep=;`; empty where the line is none of these."""
    word = text.strip(" ").lower()
    return text.strip(" ")[-1] if word.startswith("sep=") and len(word) == len("sep=,") else ""


def delimiter(header: str, is_known: Callable[[str], bool]) -> str:
    """Return the delimiter that makes most known names of a header; of equals the one that makes most cells."""

    def fitness(candidate: str) -> tuple[int, int]:
        try:
            found = cells(header, candidate)
        except ValueError:
            return (0, 0)
        return (sum(map(is_known, found)), len(found))

    return max(DELIMITERS, key=fitness)


def cells(text: str, delimiter: str) -> list[str]:
    """Part a line into its cells, without blanks around them.

    Raises
    ------
    ValueError
        A quote is not closed, or something stands behind it.
    """
    if '"' not in text:
        return [cell.strip() for cell in text.split(delimiter)]
    try:
        parted = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        raise ValueError('a quote is not closed in its line, or something stands behind it: write "" for a "') from None
    return [cell.strip() for cell in parted]
