from pathlib import Path

from conftest import NewOrthanc
from instances import instance
from servers import CHECKOUT, MAIN

LUA = str(CHECKOUT / "lua" / "incoming.lua")
REFUSE = "intake: {refuse: [{name: screen-save, image_type: SCREEN SAVE}]}\n"


def test_the_filter_refuses_what_the_door_lets_in(
    new_orthanc: NewOrthanc, python_with_stub: Path, tmp_path: Path
) -> None:
    section = {"RefuseAets": ["OLDCT"], "RefuseModalities": ["KO"]}
    server = new_orthanc(
        script=MAIN,
        deid=REFUSE,
        environment={"ORTHANC_DEID_PYTHON": str(python_with_stub)},
        configuration={"LuaScripts": [LUA], "OrthancDeidIncoming": section},
    )
    file = tmp_path / "x.dcm"
    with server:
        assert server.upload(instance(Modality="KO")).json()["Status"] == "FilteredOut"
        assert server.upload(instance(ImageType=["SCREEN SAVE"])).json()["Status"] == "FilteredOut"
        file.write_bytes(instance())
        assert server.c_store(file, calling="OLDCT").returncode == 0
        assert server.instances() == []
        assert server.c_store(file, calling="NEWCT").returncode == 0
        assert server.upload(instance()).json()["Status"] == "Success"
        assert len(server.instances()) == 2
        assert len(list((server.home / "quarantine" / "incoming").glob("*.dcm"))) == 1  # the door's, not the filter's


def test_the_filter_alone_refuses_nothing(new_orthanc: NewOrthanc) -> None:
    with new_orthanc(configuration={"LuaScripts": [LUA]}) as server:
        assert server.upload(instance(Modality="KO")).json()["Status"] == "Success"


def test_a_misspelt_key_of_the_filter_stops_the_start(new_orthanc: NewOrthanc) -> None:
    section = {"RefuseModality": ["KO"]}
    server = new_orthanc(configuration={"LuaScripts": [LUA], "OrthancDeidIncoming": section})
    server.launch()
    assert server.process
    assert server.process.wait(20) != 0
    assert "unknown key in OrthancDeidIncoming" in server.log()
