"""The configuration of PACSMAN and PACSIFIER becomes a source of this."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orthanc_deid.errors import ConfigurationError
from orthanc_deid.settings.old_archive import source_of
from orthanc_deid.settings.sources import PacsSource

OLD: dict[str, Any] = {
    "server_address": "pacs.example.org",
    "port": 104,
    "server_AET": "PACS",
    "AET": "RESEARCH",
    "move_AET": "RESEARCH",
    "move_port": 4006,
    "batch_size": 10,
    "batch_wait_time": 2.5,
}


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in OLD.items() if key not in keys}


def faults(old: object) -> list[str]:
    with pytest.raises(ConfigurationError) as told:
        source_of(old if isinstance(old, str) else json.dumps(old), "old")
    return str(told.value).splitlines()


def test_every_key_has_its_place() -> None:
    entry, remarks = source_of(json.dumps(OLD), "clinic")
    assert entry == {
        "kind": "pacs",
        "name": "clinic",
        "ae": "PACS",
        "host": "pacs.example.org",
        "port": 104,
        "local_ae": "RESEARCH",
        "move_to": "RESEARCH",
        "batch_size": 10,
        "batch_wait_s": 2.5,
    }
    assert PacsSource.model_validate(entry).batch_size == 10
    assert any("DicomPort" in remark for remark in remarks)


def test_the_older_spelling_with_fewer_keys_is_taken() -> None:
    old = {"server_ip": "10.0.0.7", "port": "104", "AET": "ME", "server_AET": "PACS"}
    entry, _ = source_of("\ufeff" + json.dumps(old), "old")
    assert (entry["host"], entry["port"], entry["move_to"]) == ("10.0.0.7", 104, "ME")
    assert "batch_size" not in entry


def test_another_node_gets_nothing_unasked() -> None:
    entry, remarks = source_of(json.dumps(OLD | {"move_AET": "ELSEWHERE"}), "old")
    assert entry["move_to"] == "RESEARCH"
    assert any(remark.startswith("move_AET: ") for remark in remarks)


def test_the_keys_of_its_last_versions_are_told_as_not_taken() -> None:
    _, remarks = source_of(json.dumps(OLD | {"karnak_address": "k.example.org", "pynetdicom_port": 1}), "old")
    assert [remark.partition(":")[0] for remark in remarks][-2:] == ["karnak_address", "pynetdicom_port"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"server_addres": "x"}, "server_addres: unknown key (did you mean server_address?)"),
        ({"AETs": "x"}, "AETs: unknown key (did you mean AET?)"),
        ({"colour": 1}, "colour: unknown key (known: server_address, port, "),
        ({"port": 0}, "port: is no port"),
        ({"port": True}, "port: is no port"),
        ({"move_port": "4006a"}, "move_port: is no port"),
        ({"server_address": "http://pacs"}, "server_address: is no name or address"),
        ({"server_AET": "A" * 17}, "server_AET: is no AE title"),
        ({"AET": ""}, "AET: is no AE title"),
        ({"move_AET": "A\\B"}, "move_AET: is no AE title"),
        ({"batch_size": 0}, "batch_size: is no number of series"),
        ({"batch_wait_time": -1}, "batch_wait_time: is no time"),
        ({"batch_wait_time": 1e9}, "batch_wait_time: is no time"),
        ({"server_ip": "10.0.0.7"}, "server_address: stands beside server_ip"),
    ],
)
def test_a_fault_names_the_key(change: dict[str, Any], fault: str) -> None:
    [told] = faults(OLD | change)
    assert told.startswith(fault)


def test_every_fault_is_told_at_once() -> None:
    told = faults(without("server_AET", "batch_size") | {"port": "x", "colour": 1})
    assert [line.partition(":")[0] for line in told] == ["port", "colour", "server_AET", "batch_wait_time"]


def test_a_file_that_is_no_json_object_is_told() -> None:
    assert faults('{\n"port": 104,,\n}') == ["line 2: is not JSON"]
    assert faults("[]")[0].startswith("is no object")
    assert faults('{"port": 1, "port": 2}') == ["port: stands twice"]


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    st.text()
    | st.dictionaries(st.sampled_from([*OLD, "server_ip"]) | st.text(), _values).map(lambda d: OLD | d).map(json.dumps)
)
def test_whatever_the_file_holds_it_is_a_source_or_a_fault_of_configuration(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        entry, _ = source_of(text, "old")
        assert PacsSource.model_validate(entry)


def test_the_file_of_the_older_tool_is_a_source_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(OLD))
    made = PacsSource.model_validate({"kind": "pacs", "name": "clinical", "old_config": str(file), "batch_size": 3})
    assert (made.ae, made.host, made.port, made.move_to) == ("PACS", "pacs.example.org", 104, "RESEARCH")
    assert (made.batch_size, made.batch_wait_s) == (3, 2.5)


def test_a_fault_in_the_file_of_the_older_tool_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(without("port")))
    with pytest.raises(ValidationError, match="port: is missing"):
        PacsSource.model_validate({"kind": "pacs", "name": "clinical", "old_config": str(file)})
    with pytest.raises(ValidationError, match="cannot be read"):
        PacsSource.model_validate({"kind": "pacs", "name": "clinical", "old_config": str(tmp_path / "none.json")})
