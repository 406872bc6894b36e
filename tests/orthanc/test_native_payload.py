"""The pipeline's door (Orthanc's /anonymize, then the pass) and the direct door give the same dataset."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from objects import PROFILES, SAMPLES, VERSION, image, known_of, patient_of, planted, pseudonyms, sample, written
from orthanc_deid.confidentiality import native
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import new_uid, rewrite
from servers import OrthancServer

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    yield server.start()
    server.kill()


def through_orthanc(server: OrthancServer, data: bytes, profile: Profile) -> tuple[Dataset, int]:
    """Answer the dataset of the pipeline's door and how often the original was fetched."""
    stored = server.session.post(f"{server.url}/instances", data=data, timeout=20)
    assert stored.status_code == 200
    url = f"{server.url}/instances/{stored.json()['ID']}"
    source = decode(data)
    patient, keyed = patient_of(source), pseudonyms()
    study, series, sop = map(new_uid(profile, keyed), (source[keyword].value for keyword in UIDS))
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

    new = rewrite(
        native.with_pixels(decode(answer.content), source),
        profile,
        keyed,
        patient,
        version=VERSION,
        known=known_of(data, profile),
        already_mapped=frozenset({study, series, sop}),
        original=original,
    )
    server.session.delete(url, timeout=20)
    return new, len(fetched)


def direct(data: bytes, profile: Profile) -> Dataset:
    ds = decode(data)
    return rewrite(ds, profile, pseudonyms(), patient_of(ds), version=VERSION, known=known_of(data, profile))


def flat(ds: Dataset) -> dict[str, Any]:
    """Answer every value by its path; outer blanks apart, which Orthanc pads anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_flat(pydicom.dcmread(io.BytesIO(encode(ds))), ""))


def _flat(ds: Dataset, path: str) -> Iterator[tuple[str, Any]]:
    for elem in ds:
        where = f"{path}{elem.tag}"
        if elem.VR == "SQ":
            yield where, len(elem.value)
            for index, item in enumerate(elem.value):
                yield from _flat(item, f"{where}[{index}]")
        else:
            value = elem.value
            yield where, (elem.VR, value if isinstance(value, bytes) else str(value).strip())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_both_doors_give_the_same_dataset(server: OrthancServer, name: str, profile: Profile) -> None:
    data = sample(name)
    assert flat(through_orthanc(server, data, profile)[0]) == flat(direct(data, profile))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_both_doors_agree_where_everything_is_planted(server: OrthancServer, depth: int, profile: Profile) -> None:
    ds = image()
    planted(ds, depth)
    new, fetched = through_orthanc(server, written(ds), profile)
    assert flat(new) == flat(direct(written(ds), profile))
    assert fetched == (1 if depth else 0)


def test_orthanc_takes_every_tag_of_the_payload(server: OrthancServer) -> None:
    assert tag_for_keyword("PatientID")
    for profile in PROFILES:
        through_orthanc(server, written(image()), profile)
