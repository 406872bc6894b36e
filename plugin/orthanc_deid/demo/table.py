"""What the demo shows: one row a study, live on a terminal, a line for each change elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from orthanc_deid import states

from .samples import Study

ENDED = frozenset({states.DONE, states.QUARANTINED, states.FAILED, states.REJECTED, states.CANCELLED, states.IGNORED})
COLOURS = {states.DONE: "green", states.FAILED: "red", states.QUARANTINED: "red"}


@dataclass
class Row:
    """A study and what is known of its way."""

    study: Study
    state: str = "not sent"
    output: str | None = None
    deidentified: int = 0
    delivery: str = ""
    reason: str = ""
    sent_at: float = 0.0
    seconds: float | None = None
    confirmed: int | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether its state will not change by itself."""
        return self.state in ENDED

    @property
    def good(self) -> bool:
        """Whether it arrived as it should."""
        return self.state == states.DONE and self.confirmed == len(self.study.files) and not self.faults

    def update(self, answer: Mapping[str, Any], now: float) -> None:
        """Take over what `GET /deid/studies` says of it; `now` is monotonic, in s."""
        self.state = str(answer["status"])
        self.output = answer.get("output")
        self.reason = str(answer.get("reason") or "")
        self.deidentified = int(answer.get("instances", {}).get("deidentified", 0))
        self.delivery = ", ".join(map(str, answer.get("destinations", {}).values()))
        if self.ended and self.seconds is None:
            self.seconds = now - self.sent_at


class Display:
    """Rows on their way: redrawn in place, or printed line by line where nobody can see them move."""

    def __init__(self, console: Console, rows: Sequence[Row]) -> None:
        self._console = console
        self._rows = rows
        self._live: Live | None = None
        self._shown: dict[str, tuple[str, int]] = {}

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keep the table on the screen meanwhile."""
        if not self._console.is_terminal:
            yield
            return
        with Live(progress(self._rows), console=self._console, transient=True) as self._live:
            yield
        self._live = None

    def refresh(self) -> None:
        """Show what is new."""
        if self._live:
            self._live.update(progress(self._rows))
            return
        for row in self._rows:
            key, now = row.study.source, (row.state, row.deidentified)
            if self._shown.get(key, ("not sent", 0)) != now:
                self._shown[key] = now
                where = f" {row.delivery}" if row.delivery else ""
                line = f"{row.study.title}: {row.state}, {row.deidentified} of {len(row.study.files)}{where}"
                self._console.print(line, soft_wrap=True, highlight=False)


def progress(rows: Sequence[Row]) -> Table:
    """Draw the table of the studies under way."""
    table = _table("Orthanc De-ID: sample studies on their way")
    for column in ("source", "sample", "by", "state", "done", "archive"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        count = f"{row.deidentified}/{len(row.study.files)}"
        table.add_row(row.study.source[:8], row.study.title, row.study.way, _state(row), count, row.delivery)
    return table


def result(rows: Sequence[Row]) -> Table:
    """Draw the last table."""
    table = _table("Sample studies")
    for column in ("source", "output", "sample", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("in", "confirmed", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        confirmed = "-" if row.confirmed is None else str(row.confirmed)
        seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
        short = (row.study.source[:8], (row.output or "-")[:8])
        table.add_row(*short, row.study.title, _state(row), str(len(row.study.files)), confirmed, seconds)
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)  # seven columns in 80


def _state(row: Row) -> str:
    colour = COLOURS.get(row.state)
    return f"[{colour}]{row.state}[/]" if colour else row.state
