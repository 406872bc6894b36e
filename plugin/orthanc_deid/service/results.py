"""Routes on conversions: NIfTI, BIDS, DICOMDIR and pictures of results."""

import base64
from collections.abc import Callable
from pathlib import Path

from fastapi import Response

from ..errors import Rejected, Retriable
from .conversions import Verified
from .models import Picture
from .parameters import Bytes, Held, InstanceId, Offset, SeriesId, StudyId, Wanted
from .runtime import Runtime

ANSWER_BYTES = 64 * 2**20  # Orthanc keeps an answer in memory several times over
TYPES = {"zip": "application/zip", "png": "image/png", "jpeg": "image/jpeg"}


def _archive(runtime: Runtime, study: str, kind: str, offset: int, count: int | None) -> Response:
    verified = runtime.conversions.of_study(study)
    path = _made(runtime, verified, (study, kind), lambda: verified.results.archive(kind))
    return _answer(path, "zip", offset, count)


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
    verified = runtime.conversions.of("series", series)
    path = _made(runtime, verified, (series, "nifti"), lambda: verified.results.archive("nifti", series))
    return _answer(path, "zip", offset, count)


def series_pictures(runtime: Held, series: SeriesId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return a ZIP with a PNG of each instance of a de-identified series."""
    verified = runtime.conversions.of("series", series)
    path = _made(runtime, verified, (series, "png"), lambda: verified.results.archive("png", series))
    return _answer(path, "zip", offset, count)


def series_sheet(runtime: Held, series: SeriesId, offset: Offset = 0, count: Bytes = None) -> Response:
    """Return a contact sheet of a de-identified series as PNG."""
    verified = runtime.conversions.of("series", series)
    path = _made(runtime, verified, (series, "sheet"), lambda: verified.results.sheet(series))
    return _answer(path, "png", offset, count)


def instance_png(runtime: Held, instance: InstanceId, wanted: Wanted) -> Response:
    """Return a PNG of a de-identified instance, as a picture or as base64 text."""
    return _picture(runtime, instance, "png", wanted)


def instance_jpeg(runtime: Held, instance: InstanceId, wanted: Wanted) -> Response:
    """Return a JPEG of a de-identified instance, as a picture or as base64 text."""
    return _picture(runtime, instance, "jpeg", wanted)


def _picture(runtime: Runtime, instance: str, kind: str, wanted: Picture) -> Response:
    verified = runtime.conversions.of("instances", instance)
    key = (instance, f"{kind}-{wanted.frame}")
    path = _made(runtime, verified, key, lambda: verified.results.picture(instance, kind, wanted.frame))
    answer = _answer(path, kind, wanted.offset, wanted.count, name=f"image-{instance[:8]}.{kind}")
    if wanted.base64 and path:
        return Response(base64.b64encode(bytes(answer.body)), media_type="text/plain")
    return answer


def _made(runtime: Runtime, verified: Verified, key: tuple[str, str], make: Callable[[], Path]) -> Path | None:
    """Return a conversion; None while it is being made, or where the study has changed meanwhile."""
    path = runtime.conversions.ask((*key, verified.state), make)
    return path if path and runtime.conversions.is_current(verified) else None


def _answer(path: Path | None, kind: str, offset: int, count: int | None, *, name: str = "") -> Response:
    """Return a file or a part of it; 202 where it is still being made.

    Its name is that of the file, which is made of de-identified values alone, or the one that is given.
    """
    if path is None:
        headers = {"Retry-After": "2"}
        return Response('{"status": "converting"}', 202, headers, "application/json")
    try:
        content, size = _part(path, offset, count)
    except FileNotFoundError:
        raise Retriable("the result was removed at this moment: it is made again when asked for") from None
    headers = {
        "ETag": f'"{path.parent.name}"',
        "Content-Disposition": f'attachment; filename="{name or path.name}"',
        "X-Deid-Size": str(size),
    }
    return Response(content, 200, headers, TYPES[kind])


def _part(path: Path, offset: int, count: int | None) -> tuple[bytes, int]:
    """Return a part of a file, and the bytes of the whole."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if count is None and size - offset > ANSWER_BYTES:
            raise Rejected(
                f"the answer has {size} bytes: ask for parts of it by ?offset=0&count={ANSWER_BYTES} and so on until a"
                " part is shorter; the commands do so"
            )
        file.seek(offset)
        return file.read(min(count or ANSWER_BYTES, ANSWER_BYTES)), size
