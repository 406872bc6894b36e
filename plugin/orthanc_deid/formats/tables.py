"""Tables of BIDS: tab-separated, `n/a` where there is nothing; written as a whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import atomic

NOTHING = "n/a"
Row = dict[str, str]


@dataclass
class Table:
    """Columns in their order, and rows."""

    columns: list[str]
    rows: list[Row] = field(default_factory=list)

    def merge(self, rows: Iterable[Mapping[str, str]], key: str, *, keep: bool = False) -> None:
        """Add rows; one whose key is there already gets their values, or with `keep` only those that it lacks."""
        known = {row[key]: row for row in self.rows}
        for row in rows:
            mine = known.get(row[key])
            if mine is None:
                mine = known[row[key]] = {}
                self.rows.append(mine)
            for column, value in row.items():
                if column not in mine or mine[column] == NOTHING or (value != NOTHING and not keep):
                    mine[column] = value
            self.columns += [column for column in row if column not in self.columns]
        self.rows.sort(key=lambda row: row[key])


def read(path: Path, columns: Sequence[str]) -> Table:
    """Read a table; one that is not there has these columns and no row."""
    if not path.is_file():
        return Table(list(columns))
    first, *lines = path.read_text(encoding="utf-8").splitlines() or ["\t".join(columns)]
    head = first.split("\t")
    return Table(head, [dict(zip(head, line.split("\t"), strict=False)) for line in lines if line])


def write(path: Path, table: Table) -> None:
    """Write a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(table.columns)]
    lines += ["\t".join(_cell(row.get(column, "")) for column in table.columns) for row in table.rows]
    atomic.write(path, ("\n".join(lines) + "\n").encode())


def _cell(value: str) -> str:
    return " ".join(value.split()) or NOTHING
