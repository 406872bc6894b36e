"""Cells that a spreadsheet takes for formulas: written so that none is run, and so that a program can undo it.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets one `'` before it, unless it is a number or
a date with a sign. So does one that begins with `'` and then one of these, so that taking one `'` away from every cell
that begins with `'` and one of these gives exactly what was there.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-][0-9]+(?:\.[0-9]+)?")


def protected(cell: str) -> str:
    """Return the cell as it may stand in a file that people open."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unprotected(cell: str) -> str:
    """Return the cell as it was."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
