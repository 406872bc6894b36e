"""Settings of the kind `http`: what cannot work is refused when the file is read, by field and with the mend."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from http_cases import JSON, RAW, settings
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.settings import load_file
from orthanc_deid.settings.http import Http

URL = "https://far.example.org/"


def fault(send: dict[str, Any] | None = None, url: str = URL, **more: Any) -> str:  # noqa: ANN401  # of Http
    with pytest.raises(ValidationError) as error:
        settings(url, send, **more)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "/x/{SOPInstancUID}"}, "no field {SOPInstancUID} here (did you mean {SOPInstanceUID}?)"),
        ({"path": "/x/{n}"}, "there is no field {n} here"),
        ({"path": "/x/{StudyDate!r}"}, "number format"),
        ({"path": "/x/{StudyDate"}, "a brace is not closed"),
        ({"path": "x"}, "a path begins with /"),
        ({"path": "/x?y=1"}, "parameters belong into query"),
        ({"query": {"q": "{nobody}"}}, "there is no field {nobody}"),
        ({"headers": {"Authorization": "x"}}, "Authorization is ours to set"),
        ({"headers": {"X-A": "a\nb"}}, "a value is one line"),
        ({"headers": {"X A": "a"}}, "should match pattern"),
        ({"level": "series"}, "a raw body holds one instance"),
        ({"template": {"a": "b"}}, "a raw body has none"),
        ({"body": "json"}, "body: json sends png or jpeg by a template"),
        ({"names": "{nobody}"}, "there is no field {nobody}"),
        ({"remote": "id"}, "a JSON pointer begins with /"),
        ({"rule": {"pointer": "/a", "matches": "("}}, "not a regular expression"),
    ],
)
def test_a_request_that_cannot_work_is_refused(change: dict[str, Any], words: str) -> None:
    assert words in fault({**RAW, **change})


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"a": "{Patient}"}, "there is no field {Patient} here (did you mean {PatientID}?)"),
        ({"a": ["x", {"b": "{nobody}"}]}, "there is no field {nobody}"),
        ({"{PatientID}": "x"}, "a key holds no field"),
        ({"{pictures}": "x", "b": 1}, "stands alone"),
        ({"{pictures}": {"{pictures}": "x"}}, "not inside of another"),
        ({"a": "{SOPInstanceUID}"}, "there is no field {SOPInstanceUID}"),
        ({"a": "{picture_base64}"}, "there is no field {picture_base64}"),
    ],
)
def test_a_template_names_only_what_there_is_at_its_level(template: Any, words: str) -> None:  # noqa: ANN401  # YAML
    assert words in fault({**JSON, "level": "study", "template": template})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "https://user:word@far.example.org"}, "neither user, password nor parameters belong here"),
        ({"url": "https://far.example.org/?a=b"}, "neither user, password nor parameters belong here"),
        ({"key_file": Path("k")}, "key_file needs certificate_file"),
        ({"openapi_file": Path("a")}, "openapi_file and operation_id belong together"),
        ({"confirm": {"path": "/{remote}"}}, "{remote} needs send.remote"),
        ({"exists": {"path": "/{remote}"}}, "there is no field {remote}"),
        ({"exists": {"method": "HEAD", "rule": {"pointer": ""}}}, "an answer to HEAD has no body"),
        ({"check_request": {"path": "/{StudyDate}"}}, "there is no field {StudyDate}"),
        ({"auth": {"kind": "header"}}, "give value_file or value_env"),
        ({"auth": {"kind": "basic", "username": "u"}}, "give password_file or password_env"),
        (
            {"auth": {"kind": "oauth2", "token_url": "http://x/", "client_id": "c", "client_secret_env": "S"}},
            "over https only",
        ),
        ({"preset": "gatway"}, "preset: there is none of that name (did you mean gateway?)"),
    ],
)
def test_a_destination_that_cannot_work_is_refused(more: dict[str, Any], words: str) -> None:
    assert words in fault(**{"url": URL, **more})


def test_a_question_whether_a_whole_study_is_there_is_refused() -> None:
    send = {"content": "zip", "body": "raw", "level": "study"}
    assert "exists: only with level: instance" in fault(send, exists={"path": "/{StudyInstanceUID}"})


def test_a_preset_is_the_ground_for_what_the_site_writes(tmp_path: Path) -> None:
    file = tmp_path / "deid.yaml"
    file.write_text(
        "destinations:\n"
        "  - kind: http\n"
        "    name: gateway\n"
        "    preset: gateway\n"
        "    url: https://gateway.example.org/api\n"
        "    auth: {kind: header, header: X-Api-Key, value_env: GATEWAY_KEY}\n"
        "    send:\n"
        "      path: /v2/images\n"
        "      there_already: [409]\n"
    )
    found = load_file(file).destinations[0]
    assert isinstance(found, Http)
    assert (found.send.path, found.send.there_already) == ("/v2/images", (409,))
    assert found.send.template["image"] == "{picture_base64}"
    assert found.conversions == ("png",)
    file.write_text(file.read_text().replace("path: /v2", "path: /{nobody}/v2"))
    with pytest.raises(
        ConfigurationError, match=r"deid.yaml:[0-9]+: destinations.0: send: there is no field \{nobody\}"
    ):
        load_file(file)
