"""Sample studies from the files that pydicom carries, each under a name and UIDs of its own."""

import hashlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

C_STORE, REST = "C-STORE", "REST"
MR_SERIES = tuple(f"98892003/MR700/{n}" for n in (4467, 4528, 4558, 4588, 4618, 4648, 4678))


@dataclass(frozen=True)
class Sample:
    """Files that become one study; `copies` makes a longer series of a single slice."""

    title: str
    way: str
    files: tuple[str, ...]
    copies: int = 1


SAMPLES = (
    Sample("CT, 12 slices", C_STORE, ("CT_small.dcm",), copies=12),
    Sample("CT, JPEG 2000", REST, ("693_J2KI.dcm",)),
    Sample("MR, a series of 7", REST, MR_SERIES),
    Sample("MR, RLE", C_STORE, ("MR_small_RLE.dcm",)),
    Sample("MR, JPEG 2000 lossless", C_STORE, ("MR_small_jp2klossless.dcm",)),
    Sample("MR with overlay", REST, ("examples_overlay.dcm",)),
    Sample("US, colour", C_STORE, ("examples_rgb_color.dcm",)),
    Sample("US, 30 frames, JPEG", REST, ("examples_ybr_color.dcm",)),
    Sample("RT structure set", REST, ("rtstruct.dcm",)),
    Sample("RT plan", C_STORE, ("rtplan.dcm",)),
    Sample("RT dose, 15 frames", C_STORE, ("rtdose.dcm",)),
    Sample("Structured report", REST, ("test-SR.dcm",)),
)

# Invented, and so odd that they stand nowhere by chance.
SURNAMES = (
    "Quittenbaum", "Zwackelmann", "Obermoser", "Hupfendorf", "Krautwickl", "Yttrigsen",
    "Pflaumenroth", "Wuchtbrumm", "Sturzelbach", "Vosskuehler", "Jammerdahl", "Etzelfrost",
)  # fmt: skip


@dataclass
class Study:
    """A sample with its identity: what is sent, and what must not arrive."""

    title: str
    way: str
    PatientID: str
    StudyInstanceUID: str
    identities: set[str]
    files: list[bytes] = field(default_factory=list)
    transfer_syntax: str = ExplicitVRLittleEndian

    @property
    def source(self) -> str:
        """The id that Orthanc will give to the study."""
        digest = hashlib.sha1(f"{self.PatientID}|{self.StudyInstanceUID}".encode()).hexdigest()  # noqa: S324  # Orthanc's rule
        return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def studies() -> list[Study]:
    """Make every sample study; the same ones each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the samples bend the standard on purpose
        return [_study(sample, number) for number, sample in enumerate(SAMPLES)]


def instance_uids(ds: Dataset) -> Iterator[str]:
    """Yield every UID, at any depth, that names one study, series, instance or frame of reference."""
    for element in ds.iterall():
        if element.VR == "UI" and element.keyword.endswith(("InstanceUID", "FrameOfReferenceUID")) and element.value:
            yield str(element.value)


def _study(sample: Sample, number: int) -> Study:
    surname = SURNAMES[number]
    study = Study(
        title=sample.title,
        way=sample.way,
        PatientID=f"{surname[:3].upper()}-40{number:02}-77",
        StudyInstanceUID=_uid("study", number),
        identities={surname, f"{surname[:3].upper()}-40{number:02}-77", f"ACC40{number:02}{surname[:3]}"},
    )
    for name in sample.files:
        for copy in range(sample.copies):
            ds = _read(name)
            _identify(ds, study, f"{name} {copy}")
            study.identities.update(instance_uids(ds))
            study.transfer_syntax = ds.file_meta.TransferSyntaxUID
            study.files.append(_bytes(ds))
    return study


def _read(name: str) -> FileDataset:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        raise FileNotFoundError(f"pydicom does not carry {name}")
    return pydicom.dcmread(path, force=True)


def _identify(ds: FileDataset, study: Study, instance: str) -> None:
    """Give the dataset this study's identity; the series stays together, the instances become distinct."""
    surname = next(s for s in SURNAMES if s in study.identities)
    ds.PatientName = f"{surname}^Demo"
    ds.PatientID = study.PatientID
    ds.AccessionNumber = next(i for i in study.identities if i.startswith("ACC"))
    ds.StudyInstanceUID = study.StudyInstanceUID
    ds.SeriesInstanceUID = _uid("series", study.StudyInstanceUID, ds.SeriesInstanceUID)
    ds.SOPInstanceUID = _uid("instance", study.StudyInstanceUID, instance)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    if "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if ds.original_encoding[0] else ExplicitVRLittleEndian


def _uid(*parts: object) -> str:
    return generate_uid(entropy_srcs=["demo", *map(str, parts)])


def _bytes(ds: FileDataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()
