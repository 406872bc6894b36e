"""The pipeline's door, the direct one and the one on arrival give the same dataset and the same pixels."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

import made_objects
from objects import PROFILES, known_of, patient_of, pseudonyms, written
from orthanc_deid import __version__
from orthanc_deid.arrival import Arrival, Project
from orthanc_deid.confidentiality import native
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import new_uid, rewrite
from planting import read, scattered
from servers import OrthancServer

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
DATA = Path(os.environ.get("ORTHANC_DEID_TEST_DATA", "/nonexistent")) / "dcm_qa_nih" / "In"
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"))
    yield server.start()
    server.kill()


def by_pipeline(server: OrthancServer, data: bytes, profile: Profile) -> bytes:
    """Answer what Orthanc's own /anonymize and the pass make of a file, as steps/instances has it done."""
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
    ds = rewrite(
        native.with_pixels(decode(answer.content), source),
        profile,
        keyed,
        patient,
        version=__version__,
        known=known_of(data, profile),
        already_mapped=frozenset({study, series, sop}),
        original=lambda: source,
    )
    server.session.delete(url, timeout=20)
    return encode(ds)


def directly(data: bytes, profile: Profile) -> bytes:
    return deidentify(data, profile, pseudonyms(), Identifiers(), version=__version__).data


def on_arrival(data: bytes, profile: Profile) -> bytes:
    return Arrival([Project(frozenset(), profile, pseudonyms())])(data)


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


def differences(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """Answer the paths whose values differ or are in one only."""
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def agree(server: OrthancServer, data: bytes, profile: Profile) -> Dataset:
    """Send a file through the three doors and compare what comes out."""
    one, two, three = by_pipeline(server, data, profile), directly(data, profile), on_arrival(data, profile)
    assert differences(flat(one), flat(two)) == []
    assert two == three
    assert read(one).get("PixelData") == read(data).get("PixelData")
    return read(one)


@every_profile
@pytest.mark.parametrize("name", made_objects.everything())
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_every_kind_of_object(server: OrthancServer, name: str, profile: Profile) -> None:
    assert agree(server, written(made_objects.everything()[name]), profile).PatientIdentityRemoved == "YES"


@every_profile
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_random_datasets(server: OrthancServer, seed: int, profile: Profile) -> None:
    data, _syntax = scattered(random.Random(seed))
    assert agree(server, data, profile).Rows == 2


@every_profile
@pytest.mark.skipif(not DATA.is_dir(), reason="ORTHANC_DEID_TEST_DATA holds no dcm_qa_nih")
@pytest.mark.parametrize("series", sorted(path.parent.name + "/" + path.name for path in DATA.glob("*/mr_*")))
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_real_series_with_private_elements(
    server: OrthancServer, series: str, profile: Profile
) -> None:
    files = sorted((DATA / series).rglob("*.dcm"))
    for path in (files[0], files[-1]):
        ds = agree(server, path.read_bytes(), profile)
        assert profile.name == "basic" or any(elem.tag.is_private for elem in ds)
