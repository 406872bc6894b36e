"""docs/query-retrieve.md tells what the code does: every example is read, every column is in its table."""

import re

import pytest

from orthanc_deid.batches.lists.columns import COLUMNS
from orthanc_deid.batches.lists.dumps import COLUMNS as DUMPED
from orthanc_deid.batches.lists.dumps import ONLY_IF_TOLD
from orthanc_deid.batches.lists.read import read
from orthanc_deid.batches.lists.report import AFTER, BEFORE
from orthanc_deid.batches.lists.reviews import select_reviewed
from orthanc_deid.batches.lists.table import Table
from servers import CHECKOUT

PAGE = (CHECKOUT / "docs" / "query-retrieve.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(csv|json)\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def told(table: Table) -> list[str]:
    """Answer a table as the page tells it; where there are faults no line is asked for."""
    if table.faults:
        return [f"line {f.line}{f', {f.column}' if f.column else ''}: {f.message}" for f in table.faults]
    lines = []
    for line in table.lines:
        asked = [f"{keyword}={value}" for keyword, value in line.wanted.attributes.items()]
        ours = {"project": line.project, "pseudonym": line.pseudonym, "album": line.album}
        asked += [f"{name} {value}" for name, value in ours.items() if value]
        lines.append(f"line {line.number}: {', '.join([line.wanted.level, *asked])}")
    return lines


def test_every_example_has_a_result() -> None:
    assert len(EXAMPLES) == len(re.findall(r"^```(?:csv|json)$", PAGE, re.MULTILINE)) > 10


@pytest.mark.parametrize(("kind", "text", "result"), EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_an_example_gives_what_the_page_says(kind: str, text: str, result: str) -> None:
    table = select_reviewed(text) if kind == "json" else read(text)
    assert told(table) == result.splitlines()


def test_the_table_of_columns_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` +\| (\S+) +\| *(\d*) *\| (.*?) *\| (.*?) *\|$", PAGE, re.MULTILINE)
    assert rows == [
        (
            column.name,
            column.level or "-",
            str(column.limit or ""),
            column.holds,
            ", ".join(f"`{alias}`" for alias in column.aliases),
        )
        for column in COLUMNS
    ]


def test_the_columns_of_report_and_dumps_are_told() -> None:
    for name in (*BEFORE, *AFTER, *DUMPED, ONLY_IF_TOLD):
        assert f"`{name}`" in PAGE
