"""Templates of the names of files and objects: by content, and the presets of systems that sites come from."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from ..formats import names

Content = Literal["dicom", "zip", "tar.gz", "nifti", "bids", "etl", "dicomdir", "png", "jpeg"]

# What a template of each content can name; of nifti, bids, etl, dicomdir, png and jpeg it names a folder.
LEVELS: Mapping[Content, names.Level] = MappingProxyType(
    {
        "dicom": "instance",
        "zip": "study",
        "tar.gz": "study",
        "nifti": "series",
        "bids": "study",
        "etl": "study",
        "dicomdir": "study",
        "png": "series",
        "jpeg": "series",
    }
)
ONE_DATASET = "bids/{project}"  # of all studies
STUDY = "{PatientID}/{StudyInstanceUID}"
TEMPLATES: Mapping[Content, str] = MappingProxyType(
    {
        "dicom": f"{STUDY}/{{SeriesInstanceUID}}/{{SOPInstanceUID}}.dcm",
        "zip": f"{STUDY}.zip",
        "tar.gz": f"{STUDY}.tar.gz",
        "nifti": f"{STUDY}/nifti/{{SeriesInstanceUID}}",
        "bids": f"{STUDY}/bids",
        "etl": "etl",  # the tree itself says project, subject and session
        "dicomdir": f"{STUDY}/dicomdir",
        "png": f"{STUDY}/png/{{SeriesInstanceUID}}",
        "jpeg": f"{STUDY}/jpeg/{{SeriesInstanceUID}}",
    }
)
_PACSIFIER = "sub-{PatientID}/ses-{StudyDate}{StudyTime}"
_PACSIFIER_SERIES = f"{_PACSIFIER}/{{SeriesNumber:05d}}-{{SeriesDescription}}"
PRESETS: Mapping[str, Mapping[Content, str]] = MappingProxyType(
    {
        "pacsifier": {
            "dicom": f"{_PACSIFIER_SERIES}/{{SOPInstanceUID}}.dcm",
            "zip": f"{_PACSIFIER}.zip",
            "tar.gz": f"{_PACSIFIER}.tar.gz",
            "nifti": _PACSIFIER_SERIES,
            "png": _PACSIFIER_SERIES,
            "jpeg": _PACSIFIER_SERIES,
        },
        "starr": {"tar.gz": "Collection/{project}/Entity/{PatientID}/{PatientID}_{StudyDate}_{AccessionNumber}.tar.gz"},
    }
)
# Inside of an archive, where a preset has its own way.
ARCHIVE_NAMES: Mapping[str, str] = MappingProxyType({"starr": "{SOPInstanceUID}.dcm"})
STARR_METADATA = MappingProxyType(
    {
        "CodedAccessionNumberID": "{AccessionNumber}",
        "CodedPatientID": "{PatientID}",
        "ContentType": "{ContentType}",
        "PatientSex": "{PatientSex}",
        "PatientAge": "{PatientAge}",
        "Modality": "{Modality}",
        "StudyDescription": "{StudyDescription}",
    }
)
