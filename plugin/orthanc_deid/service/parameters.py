"""What routes are given: the runtime, who asks, and checked parts of the address."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from .models import Picture
from .runtime import Runtime

NOBODY = "unknown"  # the user where Orthanc has asked for no name
ORTHANC_ID = "^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Held = Annotated[Runtime, Depends(_runtime)]
StudyId = Annotated[str, Path(pattern=ORTHANC_ID, description="Orthanc id of the study, source or output")]


SeriesId = Annotated[str, Path(pattern=ORTHANC_ID, description="Orthanc id of a series of a result")]
InstanceId = Annotated[str, Path(pattern=ORTHANC_ID, description="Orthanc id of an instance of a result")]
DestinationName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="its name")]
SourceName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="its name")]
Offset = Annotated[int, Query(ge=0, description="first byte, from 0, of the part that is wanted")]
Bytes = Annotated[int | None, Query(ge=1, description="bytes of the part that is wanted; without: all")]
ProfileName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="its name")]
Wanted = Annotated[Picture, Query()]


def _user(sent: Annotated[str, Header(alias="X-Deid-User", include_in_schema=False)] = "") -> str:
    """Read the name that the plugin sends: UTF-8, which the framework takes for Latin-1."""
    return sent.encode("latin-1").decode("utf-8", "replace") or NOBODY


User = Annotated[str, Depends(_user)]
