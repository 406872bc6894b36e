"""The template against the far side's own description."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from http_cases import JSON, settings
from orthanc_deid.destinations.http.openapi import compare
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.settings.http import PRESETS, Http

BUNDLE = PRESETS / "openapi" / "gateway_bundle.yaml"


def written(tmp_path: Path, document: Any) -> Path:  # noqa: ANN401  # YAML
    path = tmp_path / "api.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def api(schema: dict[str, Any], kind: str = "application/json", **operation: Any) -> dict[str, Any]:  # noqa: ANN401  # YAML
    post = {"operationId": "put", "requestBody": {"content": {kind: {"schema": schema}}}, **operation}
    return {"openapi": "3.1.0", "paths": {"/studies/{uid}/images": {"post": post}}}


def faults(tmp_path: Path, document: Any, send: dict[str, Any], operation_id: str = "put") -> str:  # noqa: ANN401  # YAML
    path = "/v1/studies/{StudyInstanceUID}/images"
    made = settings(
        "https://far.example.org/base",
        {"path": path, **send},
        openapi_file=written(tmp_path, document),
        operation_id=operation_id,
    )
    try:
        compare(made)
    except ConfigurationError as error:
        return str(error)
    return ""


def test_the_preset_matches_its_own_description() -> None:
    values = {"kind": "http", "name": "g", "preset": "gateway", "url": "https://gateway.example.org/api/"}
    compare(Http.model_validate({**values, "openapi_file": BUNDLE, "operation_id": "sendImage"}))


def test_every_difference_is_told_at_once(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "required": ["uid", "when", "size"],
        "additionalProperties": False,
        "properties": {"uid": {"type": "string"}, "size": {"type": "integer"}, "study": {"type": "object"}},
    }
    parameters = [{"name": "X-Site", "in": "header", "required": True}, {"name": "q", "in": "query", "required": True}]
    send = {**JSON, "method": "PUT", "path": "/images"}
    assert faults(tmp_path, api(schema, parameters=parameters), send).splitlines() == [
        "openapi_file: put is POST, not PUT",
        "openapi_file: put has the path /studies/{uid}/images, not that of url and send.path",
        "openapi_file: put requires the header parameter X-Site",
        "openapi_file: put requires the query parameter q",
        "openapi_file: body.when is required",
        "openapi_file: body.size is required",
        "openapi_file: body.image is not known there",
        "openapi_file: body.study is object; the template has another kind",
    ]


def test_lists_of_pictures_and_numbers_are_understood(tmp_path: Path) -> None:
    one = {"type": "object", "required": ["data"], "properties": {"n": {"type": "integer"}, "data": {"type": "string"}}}
    schema = {"allOf": [{"type": "object", "required": ["images"], "properties": {"images": {"type": "array", "items": {"$ref": "#/x/one"}}}}]}  # fmt: skip  # noqa: E501
    document = {**api(schema), "x": {"one": one}}
    send = {"content": "png", "body": "json", "level": "study", "path": "/studies/{StudyInstanceUID}/images"}
    good = {"images": {"{pictures}": {"n": "{InstanceNumber:d}", "data": "{picture_base64}"}}}
    assert faults(tmp_path, document, {**send, "template": good}) == ""
    bad = {"images": {"{pictures}": {"n": "{InstanceNumber}"}}}
    assert faults(tmp_path, document, {**send, "template": bad}).splitlines() == [
        "openapi_file: body.images[].data is required",
        "openapi_file: body.images[].n is integer; the template has another kind",
    ]
    assert "body.images is array" in faults(tmp_path, document, {**send, "template": {"images": "none"}})
    assert faults(tmp_path, document, {**send, "template": {"images": "{pictures}"}}) == ""


def test_forms_and_raw_bodies_are_compared_by_kind(tmp_path: Path) -> None:
    path = {"path": "/studies/{StudyInstanceUID}/images"}
    form = {"type": "object", "required": ["upload", "study"]}
    document = api(form, "multipart/form-data")
    send = {**path, "content": "dicom", "body": "multipart"}
    assert faults(tmp_path, document, {**send, "template": {"study": "x"}, "file_field": "upload"}) == ""
    assert faults(tmp_path, document, send).count("is required") == 2
    raw = {**path, "content": "dicom", "body": "raw"}
    assert "it takes multipart/form-data, not application/dicom" in faults(tmp_path, document, raw)
    assert faults(tmp_path, api({}, "application/*"), raw) == ""


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"swagger": "2.0"}, "not an OpenAPI 3 description"),
        ([], "not an OpenAPI 3 description"),
        ({"openapi": "3.0.0"}, "there is no operation put"),
        (api({"$ref": "other.yaml#/x"}), "references to other files"),
        (api({"$ref": "#/nowhere"}), "leads nowhere"),
        ({**api({"$ref": "#/x"}), "x": {"$ref": "#/x"}}, "in a circle"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, document: Any, words: str) -> None:  # noqa: ANN401  # YAML
    assert words in faults(tmp_path, document, JSON)


def test_a_path_below_another_prefix_is_the_same_path(tmp_path: Path) -> None:
    send = {"content": "zip", "body": "raw", "path": "/v1/studies/{StudyInstanceUID}/images"}
    assert faults(tmp_path, api({}, "application/zip"), send) == ""
    wrong = faults(tmp_path, api({}, "application/zip"), {**send, "path": "/v1/studies/{StudyInstanceUID}/files"})
    assert "put has the path /studies/{uid}/images, not that of url and send.path" in wrong
