"""`pull --info`: a CSV for each series and the log, in the tree of the older CSV tool."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..batches.lists import dumps, report
from ..batches.lists.tree import Tree
from ..formats import atomic
from .batch_answers import rows_of
from .server import Server

LOG = Path("logs") / "pacs_query_log.csv"
Cells = Mapping[int, Mapping[str, str]]  # of the list, by line


def write_info(server: Server, batch: int, folder: Path, cells: Cells) -> int:
    """Write what the archive tells of each series that a batch names; answer how many."""
    tree, found = Tree(folder), []
    for row in rows_of(server, batch):
        for series in server.call("GET", f"/deid/batches/{batch}/rows/{row['line']}/series")["items"]:
            folder_of_series = tree.folder(series)
            dumps.write(folder_of_series, series)
            with contextlib.suppress(OSError):  # images are in it
                folder_of_series.rmdir()
            number, count = series.get("SeriesNumber", ""), series.get("NumberOfSeriesRelatedInstances", "")
            files = int(count) if count.strip().isdigit() else 0
            found.append(report.SeriesRow(cells.get(row["line"], {}), series["StudyInstanceUID"], number, files))
    write_log(folder, found)
    return len(found)


def write_log(folder: Path, series: Sequence[report.SeriesRow]) -> None:
    """Write the log of the older tool: a line for each series."""
    text = io.StringIO()
    report.pacsifier_log(series, text)
    (folder / LOG).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write(folder / LOG, text.getvalue().encode(), 0o600)
