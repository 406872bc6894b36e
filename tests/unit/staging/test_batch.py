"""The batch of a run: begun once whatever is killed, and what its rows say of the lines of the list."""

from pathlib import Path
from typing import Any, cast

import pytest

from orthanc_deid.cli.server import Server
from orthanc_deid.staging import batch
from orthanc_deid.staging.entries import Entry
from orthanc_deid.staging.options import Options
from orthanc_deid.staging.run_folder import RunFolder
from orthanc_deid.staging.selection import Selection

ASKED = Options(list="/l", source="pacs", most=10, modalities=("CT",))
CHOSEN = Selection([Entry(5, {"StudyInstanceUID": "1.1"}), Entry(9, {"StudyInstanceUID": "1.2"})])


class Stub:
    """What batches answer by REST."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.lists: dict[int, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.found: list[str] = []
        self.keys: dict[str, dict[str, Any]] = {}

    def begin(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["key"] in self.keys:
            return self.keys[wanted["key"]]
        number = len(self.batches) + 1
        lines = len(wanted["list"].splitlines()) - 1
        how = {name: wanted[name] for name in ("source", "project", "to", "mode", "hold", "most")}
        self.batches.insert(0, {"id": number, "rows": {"queued": lines}} | how)
        self.lists[number] = wanted["list"]
        self.keys[wanted["key"]] = self.batches[0]
        return self.batches[0]

    def call(self, method: str, path: str, body: Any = None, **_asked: Any) -> Any:  # noqa: ANN401  # JSON
        if path == "/tools/find":
            return self.found
        if method == "POST":
            return self.begin(body)
        if path.endswith("/rows"):
            return {"items": self.rows, "next": None}
        raise AssertionError(path)


@pytest.fixture
def stub() -> Stub:
    return Stub()


def begin(stub: Stub, folder: Path, selection: Selection = CHOSEN) -> int:
    return batch.begin(cast("Server", stub), RunFolder(folder), ASKED, selection)


def test_a_batch_is_begun_once_for_a_run(stub: Stub, tmp_path: Path) -> None:
    assert [begin(stub, tmp_path) for _ in range(2)] == [1, 1]
    assert len(stub.batches) == 1
    assert stub.lists[1] == "StudyInstanceUID,Modality\n1.1,CT\n1.2,CT\n"
    assert stub.batches[0]["hold"] is True


def test_a_batch_whose_number_was_not_heard_of_is_found_again(stub: Stub, tmp_path: Path) -> None:
    begin(stub, tmp_path)
    noted = RunFolder(tmp_path).read(batch.FILE)
    RunFolder(tmp_path).write(batch.FILE, {"key": noted["key"]})
    assert begin(stub, tmp_path) == 1
    assert len(stub.batches) == 1


def test_one_that_is_older_than_the_run_is_another_one(stub: Stub, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert [begin(stub, first), begin(stub, second)] == [1, 2]


def row(line: int, state: str, *studies: tuple[str, str | None], reason: str = "") -> dict[str, Any]:
    found = [{"state": state, "orthanc": orthanc} for state, orthanc in studies]
    return {"line": line, "state": state, "reason": reason, "studies": found}


@pytest.mark.parametrize(
    ("told", "studies", "error", "later", "left"),
    [
        (row(2, "delivered", ("delivered", "s1")), ["s1"], "", "", False),
        (row(2, "duplicate", ("duplicate", "s1")), ["s1"], "", "", False),
        (row(2, "duplicate", ("duplicate", None)), ["looked-up"], "", "", False),
        (
            row(2, "partial", ("delivered", "s1"), ("partial", "s2"), reason="1 of 2"),
            ["s1"],
            "partial: 1 of 2",
            "",
            False,
        ),
        (row(2, "not-found"), [], "not-found", "", False),
        (row(2, "failed", reason="find: refused"), [], "failed: find: refused", "", False),
        (row(2, "cancelled", ("queued", None)), [], "", "the batch was cancelled", False),
        (row(2, "skipped", ("skipped", None)), [], "", "", True),
        (row(2, "delivered", ("delivered", "s1"), ("skipped", None)), ["s1"], "", "", True),
    ],
)
def test_what_came_of_a_line(  # the columns of the table
    stub: Stub, told: dict[str, Any], studies: list[str], error: str, later: str, *, left: bool
) -> None:
    stub.rows, stub.found = [told], ["looked-up"]
    found = batch.pulled(cast("Server", stub), 1, CHOSEN.chosen[:1])
    assert found == [batch.Pulled(5, studies, error, later, left)]


def test_a_study_that_another_line_of_a_query_fetches_is_left_to_a_later_run(stub: Stub) -> None:
    stub.rows = [row(2, "duplicate", ("duplicate", None))]
    found = batch.pulled(cast("Server", stub), 1, [Entry(2, {"PatientID": "A"})])
    assert found[0].later == "another line or batch fetches the same study: run again"
