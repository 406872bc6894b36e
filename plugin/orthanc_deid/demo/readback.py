"""Read a study back from the research archive and look for its source's identity in every text of it."""

import io
from collections.abc import Iterable, Iterator

import pydicom
from pydicom.dataset import Dataset

from orthanc_deid.orthanc_rest import Orthanc

from .samples import Study


def faults(archive: Orthanc, study: Study, output: str) -> tuple[int, list[str]]:
    """Answer how many instances the archive holds, and what is wrong with them."""
    instances = archive.instance_ids(output)
    found = []
    if len(instances) != len(study.files):
        found.append(f"{len(study.files)} instances went in, {len(instances)} are at the archive")
    for instance in instances:
        ds = pydicom.dcmread(io.BytesIO(archive.file(instance)))
        if ds.get("PatientIdentityRemoved") != "YES":
            found.append("an instance is not marked as de-identified")
        found += [f"identity of the source in {where}" for where in leaks(ds, study.identities)]
    return len(instances), sorted(set(found))


def leaks(ds: Dataset, identities: Iterable[str]) -> Iterator[str]:
    """Yield the tag of each element, at any depth, that holds one of the identities, in any case of letters."""
    wanted = [identity.lower() for identity in identities]
    for part in (getattr(ds, "file_meta", Dataset()), ds):
        for element in part.iterall():
            if element.VR == "SQ" or element.keyword == "PixelData":
                continue
            text = _text(element.value)
            if any(identity in text for identity in wanted):
                yield f"({element.tag.group:04x},{element.tag.element:04x})"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1").lower()
    return str(value).lower()
