"""The instances of a study as an Orthanc holds them, and in which pieces they are sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import NotFound, Rejected, Retriable
from ...orthanc_rest import Orthanc

MOST_INSTANCES = 100
MOST_BYTES = 64 << 20
SECONDS_OF_A_PIECE = 10  # where the bandwidth is bounded, a piece takes about so long


@dataclass(frozen=True)
class SopInstance:
    """One stored instance."""

    instance: str  # Orthanc's id
    SOPInstanceUID: str
    SeriesInstanceUID: str
    size: int  # bytes of its file
    file: str = ""  # Orthanc's id of the file: another one once the instance was made anew


def held(orthanc: Orthanc, study: str) -> dict[str, SopInstance]:
    """Map Orthanc ids to what an Orthanc holds of a study; empty where the study is not there."""
    try:
        series = {s["ID"]: s["MainDicomTags"]["SeriesInstanceUID"] for s in orthanc.series(study)}
        instances = orthanc.instances(study)
    except NotFound:
        return {}
    return {
        i["ID"]: SopInstance(
            i["ID"], i["MainDicomTags"]["SOPInstanceUID"], series[i["ParentSeries"]], i["FileSize"],
            i.get("FileUuid", ""),
        )
        for i in instances
        if i["ParentSeries"] in series  # one that has come between the two answers is not ours
    }  # fmt: skip


def differing(orthanc: Orthanc, other: Orthanc, ids: Iterable[str]) -> set[str]:
    """Return those instances whose files in two Orthancs are not known to be the same, by their MD5."""
    return {i for i in ids if not (known := _md5(orthanc, i)) or known != _md5(other, i)}


def _md5(orthanc: Orthanc, instance: str) -> bytes:
    try:
        return orthanc.call("GET", f"/instances/{instance}/attachments/dicom/md5")
    except (NotFound, Rejected):  # it is not there, or is not remembered there
        return b""


def expected(orthanc: Orthanc, study: str, ids: Sequence[str]) -> dict[str, SopInstance]:
    """Return what is to be at the destination, as our Orthanc holds it.

    Raises
    ------
    Retriable
        Some of it is not in our Orthanc, so that neither can it be sent nor its arrival be compared.
    """
    here = held(orthanc, study)
    missing = [i for i in ids if i not in here]
    if missing:
        raise Retriable(f"{len(missing)} of {len(ids)} instances are no longer in this Orthanc")
    return {i: here[i] for i in ids}


def pieces(
    ids: Sequence[str], sizes: Mapping[str, SopInstance], bytes_per_s: int | None, most: int = MOST_INSTANCES
) -> Iterator[list[SopInstance]]:
    """Part what is to be sent, so that pace, windows and pauses act between two pieces."""
    limit = min(MOST_BYTES, bytes_per_s * SECONDS_OF_A_PIECE) if bytes_per_s else MOST_BYTES
    piece: list[SopInstance] = []
    for instance in (sizes[i] for i in ids):
        if piece and (len(piece) >= most or sum(i.size for i in piece) + instance.size > limit):
            yield piece
            piece = []
        piece.append(instance)
    if piece:
        yield piece
