"""What cannot be meant is refused where it is written."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from orthanc_deid.settings.pseudonym_http import HttpPseudonyms
from orthanc_deid.settings.pseudonyms import AnyPseudonyms
from pseudonym_cases import GENERIC

ANY: TypeAdapter[Any] = TypeAdapter(AnyPseudonyms)


def made(**values: Any) -> HttpPseudonyms:  # noqa: ANN401  # as in YAML
    found = ANY.validate_python({"kind": "http", "url": "https://psn.example.org/api"} | values)
    assert isinstance(found, HttpPseudonyms)
    return found


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "give a preset, or body and pseudonym"),
        ({"body": {"id": "{PatientID}"}}, "give a preset, or body and pseudonym"),
        (GENERIC | {"body": {"study": "{StudyDate}"}}, "it names nobody"),
        (GENERIC | {"body": {"{PatientID}": "x"}}, "a key holds no field"),
        (GENERIC | {"body": {"id": "{PatientId}"}}, "did you mean {PatientID}"),
        (GENERIC | {"body": "{pictures}"}, "no field {pictures}"),
        (GENERIC | {"pseudonym": "pseudonym"}, "begins with /"),
        (GENERIC | {"pseudonym": "/{Patient}"}, "there is no field"),
        (GENERIC | {"url": "https://psn.example.org/{PatientID}"}, "url: it holds no field"),
        (GENERIC | {"url": "https://psn.example.org/%7BPatientID%7D"}, "url: it holds no field"),
        (GENERIC | {"url": "https://psn.example.org/?id={PatientID}"}, "neither user, password nor parameters"),
        (GENERIC | {"url": "https://u:p@psn.example.org/"}, "neither user, password nor parameters"),
        (GENERIC | {"url": "http://psn.example.org/"}, "over https only"),
        (GENERIC | {"url": "http://localhost.example.org/"}, "over https only"),
        (GENERIC | {"headers": {"X-Api-Key": "abc"}}, "stands in a file or the environment"),
        (GENERIC | {"headers": {"X-Patient": "{PatientID}"}}, "without a field"),
        (GENERIC | {"headers": {"X-A": "a\r\nX-B: b"}}, "one line"),
        (GENERIC | {"secret_headers": {"Authorization": {"env": "A"}}}, "is ours to set"),
        (GENERIC | {"secret_headers": {"X-Key": {"env": "A", "file": "b"}}}, "one of them"),
        (GENERIC | {"key_file": "key.pem"}, "key_file needs certificate_file"),
        (GENERIC | {"gpas": {"domain": "D"}}, "gpas: only with preset: gpas"),
        ({"preset": "gpas"}, "gpas: is missing"),
        ({"preset": "dasher"}, "dasher: is missing"),
        ({"preset": "deid-api", "pseudonym": "/p"}, "preset deid-api has its own"),
        ({"preset": "deid-api", "mainzelliste": {}}, "only with preset: mainzelliste"),
        ({"preset": "mainzelliste", "mainzelliste": {"fields": {"name": "{Name}"}}}, "there is no field {Name}"),
        (
            {
                "preset": "dasher",
                "dasher": {"study": "s", "token_file": "t"},
                "auth": {"kind": "header", "value_env": "A"},
            },
            "DASHER's token is in",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        made(**values)
    assert words in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/", "https://psn/"])
def test_identities_go_over_https_or_stay_on_this_machine(url: str) -> None:
    assert made(**GENERIC, url=url).preset is None


@pytest.mark.parametrize(
    ("preset", "header", "prefix"),
    [("deid-api", "Authorization", "token "), ("mainzelliste", "mainzellisteApiKey", "")],
)
def test_a_preset_knows_how_to_log_in_and_can_be_overruled(preset: str, header: str, prefix: str) -> None:
    found = made(preset=preset, auth={"kind": "header", "value_env": "A"}).auth
    assert (found.header, found.prefix) == (header, prefix)  # type: ignore[union-attr]  # of the kind header
    found = made(preset=preset, auth={"kind": "header", "value_env": "A", "header": "X-Key", "prefix": "v "}).auth
    assert (found.header, found.prefix) == ("X-Key", "v ")  # type: ignore[union-attr]  # of the kind header
    assert made(preset=preset, auth={"kind": "basic", "username": "u", "password_env": "A"}).auth is not None
