"""The filters of lua/ in a real Orthanc, together with the plugin's door."""

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from conftest import NewOrthanc
from instances import instance
from servers import CHECKOUT, MAIN, OrthancServer
from studies import Person, ct_instance

LUA = CHECKOUT / "lua"
REFUSE = "intake: {refuse: [{name: screen-save, image_type: SCREEN SAVE}]}\n"
ON_ARRIVAL = "intake: {on_arrival: true}\n"
TOKEN = "import orthanc\nopen({path!r}, 'w').write(orthanc.GenerateRestApiAuthorizationToken())\n"


def scripts(*names: str) -> list[str]:
    return [str(LUA / f"{name}.lua") for name in names]


def status(server: OrthancServer, **attributes: Any) -> str:  # noqa: ANN401  # any value
    return str(server.upload(instance(**attributes)).json()["Status"])


def test_the_filter_refuses_what_the_door_lets_in(
    new_orthanc: NewOrthanc, python_with_stub: Path, tmp_path: Path
) -> None:
    section = {"RefuseAets": ["OLDCT"], "RefuseModalities": ["KO"]}
    server = new_orthanc(
        script=MAIN,
        deid=REFUSE,
        environment={"ORTHANC_DEID_PYTHON": str(python_with_stub)},
        configuration={"LuaScripts": scripts("incoming"), "OrthancDeidIncoming": section},
    )
    file = tmp_path / "x.dcm"
    with server:
        assert status(server, Modality="KO") == "FilteredOut"
        assert status(server, ImageType=["SCREEN SAVE"]) == "FilteredOut"
        file.write_bytes(instance())
        assert server.c_store(file, calling="OLDCT").returncode == 0
        assert server.instances() == []
        assert server.c_store(file, calling="NEWCT").returncode == 0
        assert status(server) == "Success"
        assert len(server.instances()) == 2
        assert len(list((server.home / "quarantine" / "incoming").glob("*.dcm"))) == 1  # the door's, not the filter's


def test_the_filter_sees_what_the_door_has_made_of_an_instance(new_orthanc: NewOrthanc, python_with_stub: Path) -> None:
    of_both = {"LuaScripts": scripts("incoming"), "OrthancDeidIncoming": {"OnlyDeidentified": True}}
    environment = {"ORTHANC_DEID_PYTHON": str(python_with_stub)}
    server = new_orthanc(script=MAIN, deid=ON_ARRIVAL, environment=environment, configuration=of_both).start()
    assert server.upload(ct_instance(Person())).json()["Status"] == "Success"
    without_plugin = new_orthanc(configuration=of_both).start()
    assert without_plugin.upload(ct_instance(Person())).json()["Status"] == "FilteredOut"


@pytest.mark.parametrize(
    ("section", "by_rest", "by_c_store"),
    [
        ({}, 1, 1),
        ({"RefuseAets": []}, 1, 1),
        ({"OnlyAets": ["TESTER"]}, 1, 1),
        ({"OnlyAets": ["NEWCT"]}, 1, 0),
        ({"RefuseCalledAets": ["ORTHANC"]}, 1, 0),
        ({"OnlyCalledAets": ["ORTHANC"]}, 1, 1),
        ({"RefuseOrigins": ["DicomProtocol"]}, 1, 0),
        ({"OnlyOrigins": ["DicomProtocol"]}, 0, 1),
        ({"RefuseUsers": ["admin"]}, 0, 1),
        ({"OnlyUsers": ["somebody"]}, 0, 1),
        ({"RefuseAddresses": ["127.0.0.1"]}, 0, 0),
        ({"OnlyAddresses": ["127.0.0.1"], "OnlyModalities": ["OT", "CT"]}, 1, 1),
        ({"OnlyModalities": ["CT"]}, 0, 0),
    ],
)
def test_each_list_is_compared_with_what_it_is_about(
    new_orthanc: NewOrthanc, tmp_path: Path, section: dict[str, list[str]], by_rest: int, by_c_store: int
) -> None:
    configuration = {"LuaScripts": scripts("incoming"), "OrthancDeidIncoming": section}
    server = new_orthanc(configuration=configuration).start()
    assert (status(server) == "Success") == bool(by_rest)
    file = tmp_path / "x.dcm"
    file.write_bytes(instance())
    assert server.c_store(file).returncode == 0
    assert len(server.instances()) == by_rest + by_c_store


def test_what_carries_the_token_of_the_plugin_is_let_in_by_every_way(new_orthanc: NewOrthanc, tmp_path: Path) -> None:
    script, token = tmp_path / "token.py", tmp_path / "token"
    script.write_text(TOKEN.format(path=str(token)))
    strict = {
        "LuaScripts": scripts("incoming", "http"),
        "OrthancDeidIncoming": {"OnlyOrigins": ["DicomProtocol"], "OnlyUsers": ["x"], "OnlyAddresses": ["10.0.0.1"]},
        "OrthancDeidHttp": {"Rules": [{"Action": "allow", "Users": ["admin"]}], "Default": "deny"},
    }
    server = new_orthanc(script=script, configuration=strict).start()
    headers = {"Authorization": token.read_text()}
    stored = requests.post(f"{server.url}/instances", data=instance(), headers=headers, timeout=20)
    assert stored.json()["Status"] == "Success"
    assert status(server) == "FilteredOut"


def test_the_filters_alone_refuse_nothing(new_orthanc: NewOrthanc) -> None:
    server = new_orthanc(configuration={"LuaScripts": scripts("incoming", "http")}).start()
    assert status(server, Modality="KO") == "Success"


@pytest.mark.parametrize(
    ("name", "section", "told"),
    [
        ("Incoming", {"RefuseModality": ["KO"]}, "unknown key in OrthancDeidIncoming of orthanc.json: RefuseModality"),
        ("Incoming", {"RefuseOrigins": ["C-STORE"]}, "no origin is called C-STORE"),
        ("Incoming", {"OnlyAets": "CT"}, "OrthancDeidIncoming.OnlyAets in orthanc.json is not a list"),
        ("Incoming", {"OnlyDeidentified": 1}, "OnlyDeidentified in orthanc.json is not true or false"),
        ("Http", {"Rule": []}, "unknown key: Rule"),
        ("Http", {"Default": "yes"}, "Default is not allow or deny"),
        ("Http", {"Rules": [{"Users": ["a"]}]}, "Rules[1].Action is not allow or deny"),
        ("Http", {"Rules": [{"Action": "deny", "User": ["a"]}]}, "unknown key in Rules[1]: User"),
        ("Http", {"Rules": [{"Action": "deny", "Users": []}]}, "Rules[1].Users is not a list of at least one text"),
        ("Http", {"Rules": [{"Action": "deny", "Methods": ["get"]}]}, "no method is called get"),
        ("Http", {"Rules": [{"Action": "deny", "Prefixes": ["studies"]}]}, "a path begins with /"),
    ],
)
def test_a_misspelt_key_or_value_stops_the_start(
    new_orthanc: NewOrthanc, name: str, section: dict[str, Any], told: str
) -> None:
    server = new_orthanc(configuration={"LuaScripts": scripts(name.lower()), f"OrthancDeid{name}": section})
    server.launch()
    assert server.process
    assert server.process.wait(20) != 0
    assert told in server.log()


VIEWER, FORBIDDEN = ("viewer", "viewers-password"), 403
RULES = [
    {"Action": "deny", "Methods": ["DELETE"], "Prefixes": ["/changes/"]},
    {"Action": "allow", "Users": ["admin"]},
    {"Action": "deny", "Users": ["viewer"], "Prefixes": ["/instances"]},
    {"Action": "allow", "Users": ["viewer"], "Methods": ["GET"], "Addresses": ["127.0.0.1"]},
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc whose users may do what RULES say, and nothing else."""
    section = {"Rules": RULES, "Default": "deny"}
    server = OrthancServer(
        tmp_path_factory.mktemp("guarded"), configuration={"LuaScripts": scripts("http"), "OrthancDeidHttp": section}
    )
    server.users |= {VIEWER[0]: VIEWER[1], "other": "others-password"}
    with server:
        yield server


def code(server: OrthancServer, method: str, path: str, user: tuple[str, str] = VIEWER, header: str = "X: y") -> int:
    """Answer the status of a request whose path goes out as it is written here."""
    word = base64.b64encode(":".join(user).encode()).decode()
    lines = {"Host": "x", "Authorization": f"Basic {word}", "Content-Length": "0", "Connection": "close"}
    head = f"{method} {path} HTTP/1.1\r\n{header}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    with socket.create_connection(("127.0.0.1", server.http_port), 10) as connection:
        connection.sendall(f"{head}\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_a_viewer_may_read_what_the_rules_name(guarded: OrthancServer) -> None:
    assert code(guarded, "GET", "/studies") == 200
    assert code(guarded, "GET", "/system") == 200
    assert code(guarded, "GET", "/instances-old") == 404  # let through: another path
    for method in ("POST", "PUT", "DELETE"):
        assert code(guarded, method, "/studies") == FORBIDDEN
    assert code(guarded, "GET", "/studies", ("other", "others-password")) == FORBIDDEN
    assert code(guarded, "GET", "/studies", ("viewer", "wrong")) == 401


@pytest.mark.parametrize(
    "path",
    [
        "/instances",
        "/instances/",
        "//instances",
        "/./instances",
        "/system/../instances",
        "/%69nstances",
        "/instances?x",
    ],
)
def test_no_spelling_of_a_path_leads_around_a_rule(guarded: OrthancServer, path: str) -> None:
    assert code(guarded, "GET", path) == FORBIDDEN


def test_no_other_word_for_a_method_leads_around_a_rule(guarded: OrthancServer) -> None:
    study = guarded.upload(instance()).json()["ParentStudy"]
    assert code(guarded, "GET", f"/studies/{study}?_method=DELETE") == FORBIDDEN
    answered = code(guarded, "GET", f"/studies/{study}", header="X-HTTP-Method-Override: DELETE")
    assert answered in (200, FORBIDDEN)
    assert study in guarded.studies()


def test_a_rule_holds_for_the_administrator_too_where_it_stands_first(guarded: OrthancServer) -> None:
    assert guarded.request("DELETE", "/changes").status_code == FORBIDDEN
    assert json.loads(guarded.get("/changes").text)["Done"] in (True, False)
