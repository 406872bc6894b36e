"""Stand-in for the module that Orthanc embeds: only the calls main.py makes (tests/orthanc/test_fake.py checks it)."""

import json
from collections.abc import Callable
from typing import Any


class ChangeType:
    STABLE_STUDY = 9
    ORTHANC_STARTED = 10
    ORTHANC_STOPPED = 11


class InstanceOrigin:
    UNKNOWN = 1
    DICOM_PROTOCOL = 2
    REST_API = 3
    PLUGIN = 4
    LUA = 5
    WEB_DAV = 6


class ReceivedInstanceAction:
    KEEP_AS_IS = 1
    MODIFY = 2
    DISCARD = 3


class RestOutput:
    """Records one answer; `SendHttpStatus` as in the Python plugin 4.0."""

    def __init__(self) -> None:
        self.status = 0
        self.body: bytes | str = b""
        self.headers: dict[str, str] = {}

    def AnswerBuffer(self, body: bytes, mime: str, /) -> None:  # noqa: N802  # Orthanc's name, as all below
        self.status, self.body = 200, body
        self.headers["Content-Type"] = mime

    def SendHttpStatus(self, status: int, body: Any, /, *size: int) -> None:  # noqa: ANN401, N802
        if not (isinstance(body, str) and size == (len(body.encode()),)):
            raise TypeError("bad types for the arguments (3 arguments expected)")
        self.status, self.body = status, body

    def SendMethodNotAllowed(self, allowed: str, /) -> None:  # noqa: N802
        self.status = 405
        self.headers["Allow"] = allowed

    def SetHttpHeader(self, name: str, value: str, /) -> None:  # noqa: N802
        self.headers[name] = value


class RestOutputOf5(RestOutput):
    """As in the Python plugin 5.0 and newer."""

    def SendHttpStatus(self, status: int, body: Any, /, *size: int) -> None:  # noqa: ANN401, N802
        if size or not isinstance(body, bytes):
            raise TypeError("bad types for the arguments (2 arguments expected)")
        self.status, self.body = status, body
        if body:
            assert "Content-Type" not in self.headers, "Orthanc would send two"
            self.headers["Content-Type"] = "text/plain"


REGISTERED: dict[str, Any] = {}  # what main.py has registered


def CheckVersionAdvanced(major: int, minor: int, revision: int, /) -> int:  # noqa: N802
    return int((major, minor, revision) <= (1, 10, 1))


def ExtendOrthancExplorer(javascript: str, /) -> None:  # noqa: N802
    REGISTERED["explorer"] = javascript


def GenerateRestApiAuthorizationToken() -> str:  # noqa: N802
    return "Bearer 00000000-0000-0000-0000-000000000000"


def GetConfiguration() -> str:  # noqa: N802
    return json.dumps({"HttpPort": 8042})


def RegisterOnChangeCallback(callback: Callable[[int, int, str], None], /) -> None:  # noqa: N802
    REGISTERED["change"] = callback


def RegisterReceivedInstanceCallback(callback: Callable[[bytes, int], Any], /) -> None:  # noqa: N802
    REGISTERED["received"] = callback


def RegisterRestCallback(uri: str, callback: Callable[..., None], /) -> None:  # noqa: N802
    REGISTERED["rest"] = (uri, callback)
