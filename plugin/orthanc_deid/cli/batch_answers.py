"""What the server tells of batches, read whole and shown."""

from typing import Any

import click

from .server import Server


def rows_of(server: Server, number: int, state: str | None = None) -> list[dict[str, Any]]:
    """Return all rows of a batch, page by page."""
    items: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = server.call("GET", f"/deid/batches/{number}/rows", state=state, limit=1000, cursor=cursor)
        items += page["items"]
        cursor = page["next"]
    return items


def print_batch(batch: dict[str, Any]) -> None:
    """Print one batch in a few lines."""
    rows = ", ".join(f"{count} {state}" for state, count in sorted(batch["rows"].items()))
    counts = batch["instances"]
    label = f", label {batch['label']}" if batch["label"] else ""
    click.echo(f"Batch {batch['id']} from {batch['source']} to {batch['to']}{label}: {batch['state']}")
    click.echo(f"  rows: {rows}")
    click.echo(f"  {batch['studies']} studies, {counts['arrived']} of {counts['expected']} instances here")
