"""The pipeline's door, the direct one and the one on arrival give the same dataset and the same pixels."""

import os
import random
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

import made_objects
from doors import by_pipeline, flat
from objects import PROFILES, pseudonyms, written
from orthanc_deid import __version__
from orthanc_deid.arrival import Arrival, Project
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile
from planting import read, scattered
from servers import OrthancServer

DATA = Path(os.environ.get("ORTHANC_DEID_TEST_DATA", "/nonexistent")) / "dcm_qa_nih" / "In"
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


def directly(data: bytes, profile: Profile) -> bytes:
    return deidentify(data, profile, pseudonyms(), Identifiers(), version=__version__).data


def on_arrival(data: bytes, profile: Profile) -> bytes:
    return Arrival([Project("default", frozenset(), profile, pseudonyms())])(data)


def differences(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """Answer the paths whose values differ or are in one only."""
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def agree(plain: OrthancServer, data: bytes, profile: Profile) -> Dataset:
    """Send a file through the three doors and compare what comes out."""
    one, _ = by_pipeline(plain, data, profile, __version__)
    two, three = directly(data, profile), on_arrival(data, profile)
    assert differences(flat(one), flat(two)) == []
    assert two == three
    assert read(one).get("PixelData") == read(data).get("PixelData")
    return read(one)


@every_profile
@pytest.mark.parametrize("name", made_objects.everything())
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_every_kind_of_object(plain: OrthancServer, name: str, profile: Profile) -> None:
    assert agree(plain, written(made_objects.everything()[name]), profile).PatientIdentityRemoved == "YES"


@every_profile
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_random_datasets(plain: OrthancServer, seed: int, profile: Profile) -> None:
    data, _syntax = scattered(random.Random(seed))
    assert agree(plain, data, profile).Rows == 2


@every_profile
@pytest.mark.skipif(not DATA.is_dir(), reason="ORTHANC_DEID_TEST_DATA holds no dcm_qa_nih")
@pytest.mark.parametrize("series", sorted(path.parent.name + "/" + path.name for path in DATA.glob("*/mr_*")))
@pytest.mark.filterwarnings("ignore")
def test_the_doors_agree_on_real_series_with_private_elements(
    plain: OrthancServer, series: str, profile: Profile
) -> None:
    files = sorted((DATA / series).rglob("*.dcm"))
    for path in (files[0], files[-1]):
        ds = agree(plain, path.read_bytes(), profile)
        assert profile.name == "basic" or any(elem.tag.is_private for elem in ds)
