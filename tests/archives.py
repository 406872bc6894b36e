"""What tests of archives share: settings of a PACS and of a DICOMweb server as sources, and small studies."""

import io
from typing import Any

import pydicom
from pydantic import TypeAdapter
from pydicom.dataset import Dataset

from orthanc_deid.settings.sources import DicomwebSource, PacsSource
from studies import Person, ct_instance


def pacs(port: int, ae: str = "PACS", **more: Any) -> PacsSource:  # noqa: ANN401  # settings
    """Answer a source of kind pacs on this machine."""
    values = {"kind": "pacs", "name": "pacs", "ae": ae, "host": "127.0.0.1", "port": port, "timeout_s": 3} | more
    return TypeAdapter(PacsSource).validate_python(values)


def dicomweb(url: str, **more: Any) -> DicomwebSource:  # noqa: ANN401  # settings
    """Answer a source of kind dicomweb."""
    values = {"kind": "dicomweb", "name": "web", "url": url, "timeout_s": 5} | more
    return TypeAdapter(DicomwebSource).validate_python(values)


def made(person: Person, *, study: int = 1, series: int = 1, number: int = 1, **values: Any) -> Dataset:  # noqa: ANN401  # of attributes
    """Answer one slice with some of its attributes changed, by keyword."""
    ds = pydicom.dcmread(io.BytesIO(ct_instance(person, study=study, series=series, number=number)))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset) -> bytes:
    """Answer a dataset as a file."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def two_series(person: Person = Person(), count: int = 3) -> list[Dataset]:  # noqa: B008  # frozen
    """Answer a study of a T1 and a T2 series."""
    series = ((1, "T1 MPRAGE"), (2, "T2 FLAIR"))
    return [
        made(person, series=k, number=n, SeriesDescription=words, ProtocolName=f"protocol {k}")
        for k, words in series
        for n in range(1, count + 1)
    ]
