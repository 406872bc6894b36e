import io
from itertools import combinations

import pydicom

from orthanc_deid.demo.samples import C_STORE, SAMPLES, studies


def test_every_sample_is_a_study_of_its_own() -> None:
    made = studies()
    assert len({study.source for study in made}) == len(SAMPLES) >= 8
    for one, other in combinations(made, 2):
        assert not {one.PatientID, one.StudyInstanceUID} & other.identities


def test_the_same_samples_are_made_each_time() -> None:
    assert [study.files for study in studies()] == [study.files for study in studies()]


def test_some_go_by_c_store_and_some_by_rest() -> None:
    ways = [study.way for study in studies()]
    assert 0.3 <= ways.count(C_STORE) / len(ways) <= 0.7


def test_every_file_says_whose_it_is() -> None:
    for study in studies():
        uids = set()
        for file in study.files:
            ds = pydicom.dcmread(io.BytesIO(file))
            assert str(ds.PatientName).split("^", maxsplit=1)[0] in study.identities
            assert {ds.PatientID, ds.AccessionNumber, ds.StudyInstanceUID, ds.SOPInstanceUID} <= study.identities
            uids.add(ds.SOPInstanceUID)
        assert len(uids) == len(study.files)
