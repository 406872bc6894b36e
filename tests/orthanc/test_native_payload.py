"""The pipeline's door (Orthanc's /anonymize, then the pass) and the direct door give the same dataset."""

import pytest
from pydicom.datadict import tag_for_keyword

from doors import by_pipeline, flat
from objects import PROFILES, SAMPLES, VERSION, image, known_of, patient_of, planted, pseudonyms, sample, written
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import rewrite
from servers import OrthancServer

every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


def direct(data: bytes, profile: Profile) -> bytes:
    ds = decode(data)
    return encode(rewrite(ds, profile, pseudonyms(), patient_of(ds), version=VERSION, known=known_of(data, profile)))


@every_profile
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_both_doors_give_the_same_dataset(plain: OrthancServer, name: str, profile: Profile) -> None:
    data = sample(name)
    assert flat(by_pipeline(plain, data, profile)[0]) == flat(direct(data, profile))


@every_profile
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_both_doors_agree_where_everything_is_planted(plain: OrthancServer, depth: int, profile: Profile) -> None:
    ds = image()
    planted(ds, depth)
    new, fetched = by_pipeline(plain, written(ds), profile)
    assert flat(new) == flat(direct(written(ds), profile))
    assert fetched == (1 if depth else 0)


def test_orthanc_takes_every_tag_of_the_payload(plain: OrthancServer) -> None:
    assert tag_for_keyword("PatientID")
    for profile in PROFILES:
        by_pipeline(plain, written(image()), profile)
