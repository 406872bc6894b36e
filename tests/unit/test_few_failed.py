import json
from pathlib import Path

import pytest

import few_failed


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (["tests/a.py::test_one"], 0),
        ([f"tests/a.py::test_{n}" for n in range(3)], 0),
        ([f"tests/a.py::test_{n}" for n in range(4)], 1),
        (["tests/a.py::test_one", "tests/b.py"], 1),
        ([], 1),
    ],
    ids=["one", "three", "four", "a file that cannot be collected", "none"],
)
def test_few_tests_are_tried_once_more_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failed: list[str], code: int
) -> None:
    noted = tmp_path / "lastfailed"
    noted.write_text(json.dumps(dict.fromkeys(failed, True)))
    monkeypatch.setattr(few_failed, "NOTED", noted)
    assert few_failed.main() == code
    shown = capsys.readouterr().out
    assert all((name in shown) is (code == 0) for name in failed)


def test_without_a_note_of_the_last_run_nothing_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_failed, "NOTED", tmp_path / "nowhere")
    assert few_failed.main() == 1
