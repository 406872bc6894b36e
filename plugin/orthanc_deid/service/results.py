"""Routes on conversions: NIfTI, BIDS, DICOMDIR and pictures of results."""

import base64
from collections.abc import Callable
from pathlib import Path

from fastapi import Response

from ..errors import Rejected
from .parameters import AsText, Bytes, Held, InstanceId, Offset, SeriesId, StudyId
from .runtime import Runtime

ANSWER_BYTES = 64 * 2**20  # Orthanc keeps an answer in memory several times over
TYPES = {"zip": "application/zip", "png": "image/png", "jpeg": "image/jpeg"}


def _archive(runtime: Runtime, study: str, kind: str, offset: int, count: int | None) -> Response:
    results = runtime.conversions.of_study(study)
    return _answer(runtime, (study, kind), lambda: results.archive(kind), "zip", offset, count)


def study_nifti(runtime: Held, study: StudyId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return the NIfTI of a de-identified study as a ZIP: *.nii.gz, *.json, *.bval, *.bvec."""
    return _archive(runtime, study, "nifti", offset, count)


def study_bids(runtime: Held, study: StudyId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return the BIDS tree of a de-identified study as a ZIP."""
    return _archive(runtime, study, "bids", offset, count)


def study_dicomdir(runtime: Held, study: StudyId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return a de-identified study as a ZIP of media: DICOMDIR and files with names of 8 characters."""
    return _archive(runtime, study, "dicomdir", offset, count)


def series_nifti(runtime: Held, series: SeriesId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return the NIfTI of a de-identified series as a ZIP: *.nii.gz, *.json, *.bval, *.bvec."""
    results = runtime.conversions.of("series", series)
    return _answer(runtime, (series, "nifti"), lambda: results.archive("nifti", series), "zip", offset, count)


def series_pictures(runtime: Held, series: SeriesId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return a ZIP with a PNG of each instance of a de-identified series."""
    results = runtime.conversions.of("series", series)
    return _answer(runtime, (series, "png"), lambda: results.archive("png", series), "zip", offset, count)


def series_sheet(runtime: Held, series: SeriesId) -> Response:
    """Return a contact sheet of a de-identified series as PNG."""
    results = runtime.conversions.of("series", series)
    return _answer(runtime, (series, "sheet"), lambda: results.sheet(series), "png")


def instance_png(runtime: Held, instance: InstanceId, text: AsText = False) -> Response:  # noqa: FBT002  # a query key
    """Return a PNG of a de-identified instance, as a picture or as base64 text."""
    return _picture(runtime, instance, "png", text=text)


def instance_jpeg(runtime: Held, instance: InstanceId, text: AsText = False) -> Response:  # noqa: FBT002  # a query key
    """Return a JPEG of a de-identified instance, as a picture or as base64 text."""
    return _picture(runtime, instance, "jpeg", text=text)


def _picture(runtime: Runtime, instance: str, kind: str, *, text: bool) -> Response:
    results = runtime.conversions.of("instances", instance)
    answer = _answer(runtime, (instance, kind), lambda: results.picture(instance, kind), kind)
    if text and answer.status_code == 200:  # noqa: PLR2004  # its own name
        return Response(base64.b64encode(bytes(answer.body)), media_type="text/plain")
    return answer


def _answer(  # noqa: PLR0913  # a file and which part of it
    runtime: Runtime, key: tuple[str, ...], make: Callable[[], Path], kind: str, offset: int = 0,
    count: int | None = None,
) -> Response:  # fmt: skip
    """Return a file or a part of it; 202 where it is still being made."""
    path = runtime.conversions.ask(key, make)
    if path is None:
        headers = {"Retry-After": "2"}
        return Response('{"status": "converting"}', 202, headers, "application/json")
    size = path.stat().st_size
    if count is None and size - offset > ANSWER_BYTES:
        raise Rejected(
            f"the answer has {size} bytes: ask for parts of it by ?offset=0&count={ANSWER_BYTES} and so on until a part"
            " is shorter; the commands do so"
        )
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read(min(count or ANSWER_BYTES, ANSWER_BYTES))
    headers = {"ETag": f'"{path.parent.name}"', "Content-Disposition": f'attachment; filename="{key[-1]}.{kind}"'}
    return Response(content, 200, headers, TYPES[kind])
