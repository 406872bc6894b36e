"""The pipeline's door as steps/instances has it: Orthanc's own /anonymize, then the pass; and how to compare doors."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from objects import VERSION, known_of, patient_of, pseudonyms
from orthanc_deid.confidentiality import native
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import new_uid, rewrite
from planting import read
from servers import OrthancServer

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def by_pipeline(server: OrthancServer, data: bytes, profile: Profile, version: str = VERSION) -> tuple[bytes, int]:
    """Answer what the pipeline makes of a file, and how often it fetched the original."""
    stored = server.session.post(f"{server.url}/instances", data=data, timeout=20)
    assert stored.status_code == 200, stored.text
    url = f"{server.url}/instances/{stored.json()['ID']}"
    source, keyed = decode(server.session.get(f"{url}/file", timeout=20).content), pseudonyms()
    patient = patient_of(source)
    study, series, sop = map(new_uid(profile, keyed), (str(source[keyword].value) for keyword in UIDS))
    body = native.payload(
        profile,
        study_uid=study,
        series_uid=series,
        sop_uid=sop,
        patient_id=keyed.patient_id(patient),
        patient_name=keyed.patient_name(patient),
    )
    answer = server.session.post(f"{url}/anonymize", json=body, timeout=20)
    assert answer.status_code == 200, answer.text
    fetched: list[int] = []

    def original() -> Dataset:
        fetched.append(1)
        return decode(server.session.get(f"{url}/file", timeout=20).content)

    ds = rewrite(
        native.with_pixels(decode(answer.content), source),
        profile,
        keyed,
        patient,
        version=version,
        known=known_of(data, profile),
        already_mapped=frozenset({study, series, sop}),
        original=original,
    )
    server.session.delete(url, timeout=20)
    return encode(ds), len(fetched)


def flat(data: bytes) -> dict[str, object]:
    """Answer every value by its path; outer blanks apart, which Orthanc pads anew."""
    return dict(_flat(read(data), ""))


def _flat(ds: Dataset, path: str) -> Iterator[tuple[str, object]]:
    for elem in ds:
        where = f"{path}{elem.tag}"
        if elem.VR == "SQ":
            yield where, len(elem.value)
            for index, item in enumerate(elem.value):
                yield from _flat(item, f"{where}[{index}]")
        else:
            value = elem.value
            yield where, (elem.VR, value if isinstance(value, bytes) else str(value).strip())
