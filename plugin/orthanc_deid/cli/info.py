"""`pull --info`: a CSV for each series, in the tree of the older CSV tool."""

from pathlib import Path

from ..batches.lists import dumps
from ..batches.lists.tree import Tree
from .batch_answers import rows_of
from .server import Server


def write_info(server: Server, batch: int, folder: Path) -> int:
    """Write what the archive tells of each series that a batch names; answer how many."""
    tree, count = Tree(folder), 0
    for row in rows_of(server, batch):
        for series in server.call("GET", f"/deid/batches/{batch}/rows/{row['line']}/series")["items"]:
            dumps.write(tree.folder(series), series)
            count += 1
    return count
