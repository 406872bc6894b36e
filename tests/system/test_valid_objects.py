"""Valid objects stay valid: dciodvfy, DCMTK and GDCM read the output as they read the source."""

import io
import shutil
from collections.abc import Iterator
from functools import cache, lru_cache

import pydicom
import pytest
from pydicom.dataset import Dataset

from conformance import errors, new_errors, new_refusals, refusals, without_values
from made_objects import everything
from objects import (
    BASIC,
    MARKER,
    PATIENT,
    PROFILES,
    RESEARCH,
    ROOT,
    SAMPLES,
    VERSION,
    every_dataset,
    pseudonyms,
    sample,
    written,
)
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers, from_dataset
from orthanc_deid.confidentiality.plan import plan
from orthanc_deid.confidentiality.profile import Profile

pytestmark = [
    pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed"),
    pytest.mark.filterwarnings("ignore"),  # pydicom on the values of its own samples
]
# More of pydicom's files that a scanner could have made.
MORE = (
    "MR_small_bigendian.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm",
    "JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_gdcm_KY.dcm", "J2K_pixelrep_mismatch.dcm", "rtdose_rle.dcm",
    "rtdose_expb.dcm",
)  # fmt: skip
NAMES = tuple(everything())
HIDDEN = (MARKER, "Qponmlk", PATIENT.patient_id, "MRN-770002", "ACC-550001", "SID-0001", "RP-880001", ROOT, "19630417")


@cache
def made() -> dict[str, bytes]:
    return {name: written(ds) for name, ds in everything().items()}


@cache
def source(name: str) -> bytes:
    """Return a made object or a sample; one that is nobody's gets a PatientID, as without one it is refused."""
    if name in NAMES:
        return made()[name]
    ds = pydicom.dcmread(io.BytesIO(sample(name)))
    if ds.get("PatientID"):
        return sample(name)
    ds.PatientID = PATIENT.patient_id
    return written(ds)


@cache
def known(profile: Profile) -> Identifiers:
    """Collect from all objects, as from all instances of a study."""
    found = Identifiers()
    for data in made().values():
        found |= from_dataset(read(data), kept=plan(profile).kept)
    return found


@lru_cache(maxsize=512)
def output(name: str, profile: Profile) -> bytes:
    who = known(profile) if name in NAMES else Identifiers()
    return deidentify(source(name), profile, pseudonyms(), who, version=VERSION).data


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


by_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
by_basic_and_research = pytest.mark.parametrize("profile", [BASIC, RESEARCH], ids=lambda p: p.name)
by_made = pytest.mark.parametrize("name", NAMES)
by_any = pytest.mark.parametrize("name", [*NAMES, *SAMPLES, *MORE])


@by_made
def test_a_made_object_is_valid_and_holds_the_marker(name: str) -> None:
    data = made()[name]
    assert not errors(data)
    assert "dcmdump" not in refusals(data)
    assert data.count(MARKER.encode()) > 10


@by_profile
@by_any
def test_the_output_has_no_new_error(name: str, profile: Profile) -> None:
    assert not new_errors(source(name), output(name, profile))


@by_basic_and_research  # what the others keep besides is encoded by the same code
@by_any
def test_dcmtk_and_gdcm_open_the_output(name: str, profile: Profile) -> None:
    assert not new_refusals(source(name), output(name, profile))


@by_profile
@by_any
def test_pixels_waveforms_and_numbers_are_those_of_the_source(name: str, profile: Profile) -> None:
    old, new = read(source(name)), read(output(name, profile))
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "Rows", "Columns", "NumberOfFrames"):
        assert new.get(keyword) == old.get(keyword)
    for before, after in zip(old.get("WaveformSequence", []), new.get("WaveformSequence", []), strict=True):
        assert after.WaveformData == before.WaveformData


@by_basic_and_research
@by_made
def test_nothing_that_identifies_is_in_the_bytes(name: str, profile: Profile) -> None:
    data = output(name, profile)
    for word in HIDDEN:
        assert word.encode() not in data
        assert word.lower().encode() not in data.lower()


@pytest.mark.parametrize("name", ["pdf", "cda"])
def test_a_document_keeps_its_clinical_words(name: str) -> None:
    ds = read(output(name, RESEARCH))
    assert b"The left lung is clear." in made()[name]
    assert b"lung" in ds.EncapsulatedDocument
    assert ds.EncapsulatedDocumentLength <= len(ds.EncapsulatedDocument) <= ds.EncapsulatedDocumentLength + 1


@by_profile
def test_the_objects_are_one_patient_and_study_still(profile: Profile) -> None:
    outputs = [read(output(name, profile)) for name in NAMES]
    assert len({ds.PatientID for ds in outputs}) == 1
    assert len({ds.StudyInstanceUID for ds in outputs}) == 1
    assert len({ds.SOPInstanceUID for ds in outputs}) == len(NAMES)
    assert len({ds.FrameOfReferenceUID for ds in outputs if "FrameOfReferenceUID" in ds}) == 1


def instances(datasets: dict[str, Dataset]) -> set[tuple[str, str]]:
    """Answer which object (by name) points to which other, or to which study, series and frame of reference."""
    targets: dict[str, str] = {}
    for name, ds in datasets.items():
        targets[ds.SOPInstanceUID] = name
        targets[ds.SeriesInstanceUID] = f"series of {name.rstrip('-123')}"
        targets[ds.StudyInstanceUID] = "study"
        if "FrameOfReferenceUID" in ds:
            targets[ds.FrameOfReferenceUID] = "frame of reference"
    own = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    return {
        (name, targets[uid]) for name, ds in datasets.items() for uid in uids(ds, leaving_out=own) if uid in targets
    }


def uids(ds: Dataset, leaving_out: tuple[str, ...] = ()) -> Iterator[str]:
    for each in every_dataset(ds):
        for elem in each:
            if elem.VR == "UI" and not (each is ds and elem.keyword in leaving_out):
                yield from elem.value if elem.VM > 1 else [elem.value] if elem.value else []


@by_profile
def test_every_reference_leads_where_it_led(profile: Profile) -> None:
    before = instances({name: read(made()[name]) for name in NAMES})
    after = instances({name: read(output(name, profile)) for name in NAMES})
    assert after <= before
    if profile != BASIC:  # which replaces content and graphics, and removes some sequences of references
        assert before - after == set()


@by_profile
@by_made
def test_no_uid_is_new_that_no_uid_of_the_source_became(name: str, profile: Profile) -> None:
    mapped = {pseudonyms().uid(uid) for uid in uids(read(made()[name]))}
    kept = set(uids(read(made()[name])))
    assert set(uids(read(output(name, profile)))) <= mapped | kept | {"2.25.0"}


def test_the_harness_sees_what_is_broken() -> None:
    data = made()["ct-1"]
    ds = read(data)
    del ds.PatientID
    ds.StudyDate = "XXXX"
    found = new_errors(data, written(ds))
    assert any("PatientID" in message for message in found)
    assert any("Study Date" in message and "XXXX" not in message for message in found)
    assert not new_errors(data, data)
    assert refusals(b"no DICOM").keys() == {"dcmdump", "gdcminfo"}


def test_a_message_loses_its_values_and_keeps_its_attribute() -> None:
    line = (
        "Error - Value invalid for this VR - (0x0008,0x0020) DA Study Date  DA [1] = <1997.04.24> - Character invalid"
    )
    assert "1997" not in without_values(line)
    assert "(0x0008,0x0020) DA Study Date" in without_values(line)
    assert "<PatientID>" in without_values(
        "Error - Missing attribute Type 2 Required Element=<PatientID> Module=<Patient>"
    )
