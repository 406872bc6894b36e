from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from orthanc_deid.cli.commands import main
from orthanc_deid.cli.manifest import PIECE, read
from orthanc_deid.cli.server import Server

UID = "1.2.826.0.1.3680043.10.1337"


def test_a_number_for_each_study() -> None:
    content = f"\ufeffStudyInstanceUID;Instances\r\n{UID}.1;240\r\n\r\n{UID}.2;1\r\n".encode()
    assert read(content) == [
        {"StudyInstanceUID": f"{UID}.1", "instances": 240},
        {"StudyInstanceUID": f"{UID}.2", "instances": 1},
    ]


def test_a_row_for_each_instance_in_any_order() -> None:
    rows = [f"{UID}.1.1,{UID}.1", f"{UID}.2.1,{UID}.2", f"{UID}.1.2,{UID}.1"]
    assert read("\n".join(["sopinstanceuid, studyinstanceuid", *rows]).encode()) == [
        {"StudyInstanceUID": f"{UID}.1", "SOPInstanceUIDs": [f"{UID}.1.1", f"{UID}.1.2"]},
        {"StudyInstanceUID": f"{UID}.2", "SOPInstanceUIDs": [f"{UID}.2.1"]},
    ]


def test_json_is_one_manifest_or_a_list_of_them() -> None:
    assert read(b'{"StudyInstanceUID": "1.2"}') == [{"StudyInstanceUID": "1.2"}]
    assert read(b' [{"StudyInstanceUID": "1.2"}]') == [{"StudyInstanceUID": "1.2"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Study,Count\n1.2,3\n", "line 1: the columns are StudyInstanceUID and Instances, or"),
        (b"StudyInstanceUID,Instances,SOPInstanceUID\n", "line 1: the columns are"),
        (b"StudyInstanceUID,Instances\n1.2,3\n1.3,many\n", "line 3: Instances is not a number from 1"),
        (b"StudyInstanceUID,Instances\n1.2,0\n", "line 2: Instances is not a number from 1"),
        (b"StudyInstanceUID,Instances\n1.2\n", "line 2: 2 values are expected"),
        (b"StudyInstanceUID,Instances\n1.2,3\n1.2,4\n", "line 3: the study has a line already"),
        (b"StudyInstanceUID,Instances\nMRN-770001,3\n", "line 2: StudyInstanceUID is not a UID"),
        (b"StudyInstanceUID,SOPInstanceUID\n1.2,1.3\n1.2,1.3\n", "line 3: the instance has a line already"),
        (b"[\n{\n", "line 3: not JSON"),
        (b"\xff\xfe", "the file is not UTF-8"),
        (b"", "line 1: the columns are"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_its_value(content: bytes, message: str) -> None:
    with pytest.raises(click.ClickException) as refused:
        read(content)
    assert refused.value.message.startswith(message)
    assert "MRN" not in refused.value.message


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answer what was sent to the server."""
    bodies: list[Any] = []

    def call(_server: Server, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401  # JSON
        assert (method, path) == ("POST", "/deid/manifests")
        bodies.append(body)
        return {"items": [{"instances": 1, "listed": False, "replaced": n == 0} for n in range(len(body))]}

    monkeypatch.setattr(Server, "call", call)
    monkeypatch.setenv("ORTHANC_DEID_PASSWORD", "x")
    return bodies


def run(content: str) -> Result:
    return CliRunner().invoke(main, ["manifest", "-"], input=content, prog_name="orthanc-deid")


def test_a_long_list_is_sent_in_pieces_and_no_uid_is_printed(sent: list[Any]) -> None:
    rows = [f"{UID}.{n},1" for n in range(PIECE + 1)]
    shown = run("\n".join(["StudyInstanceUID,Instances", *rows]))
    assert (shown.exit_code, [len(body) for body in sent]) == (0, [PIECE, 1])
    assert shown.output == f"{PIECE + 1} studies announced, of these 2 anew\n"


def test_a_file_with_a_fault_announces_nothing(sent: list[Any]) -> None:
    shown = run("StudyInstanceUID,Instances\n1.2,1\n1.3,x\n")
    assert (shown.exit_code, sent) == (1, [])
    assert "line 3" in shown.output
