"""Files that say what patients are called: a module for each form, all of them read into one table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from ...settings.pseudonym_file import Columns
from . import csv_rows, subjects
from .columns import columns
from .entry import Entry, Faulty, Place, normal, without_sub, without_zeros
from .new_ids import mapper, new_ids
from .subjects import cbtn, corsica
from .table import Table
from .two_columns import two_columns


@dataclass(frozen=True)
class Form:
    """How a file is read and its patients are found."""

    read: Callable[[str], Iterator[Entry]]
    key: Callable[[str], str]  # how a PatientID is compared
    by_id: bool = True


FORMS = {
    "new-ids": Form(new_ids, without_sub),
    "mapper": Form(mapper, without_sub),
    "two-columns": Form(two_columns, without_sub),
    "subjects-cbtn": Form(cbtn, without_zeros),
    "subjects-corsica": Form(corsica, without_zeros, by_id=False),
}


def form_of(name: str, file_name: str, text: str, named: Columns | None) -> Form:
    """Return the form of that name; `auto` is told by the file.

    Raises
    ------
    Faulty
        It cannot be told.
    """
    if named is not None:
        return Form(lambda content: columns(content, named), normal)
    return FORMS[told(file_name, text) if name == "auto" else name]


def told(file_name: str, text: str) -> str:
    """Return which form a file has."""
    if text.lstrip().startswith("{"):
        return "mapper" if PurePath(file_name).name.casefold() == "mapper.json" else "new-ids"
    if csv_rows.is_headed(text, subjects.CBTN[0]):
        return "subjects-cbtn"
    if csv_rows.is_headed(text, subjects.CORSICA[0]):
        return "subjects-corsica"
    first = next(csv_rows.rows(text), None)
    if first is not None and len(first.cells) == 2:  # noqa: PLR2004  # old, new
        return "two-columns"
    raise Faulty(Place(1), "what kind of file it is cannot be told: name its form")


def table(form: Form, text: str) -> Table:
    """Read a file; raises Faulty."""
    return Table(form.read(text), form.key, by_id=form.by_id)


__all__ = ["FORMS", "Entry", "Faulty", "Form", "Place", "Table", "form_of", "table", "told"]
