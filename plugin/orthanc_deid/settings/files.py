"""Settings of the kinds that store files: object-store, folder."""

from typing import Literal

from pydantic import Field

from .delivery import Delivery
from .model import File

Content = Literal["dicom", "zip", "tar.gz", "nifti", "bids", "dicomdir", "png", "jpeg"]


class Files(Delivery):
    """What is written, and under which names."""

    content: tuple[Content, ...] = Field(default=("dicom",), min_length=1, description="what is written")
    names: str | None = Field(
        default=None, description="template of the names: {project}/{PatientID}/...; without: one for each content"
    )


class Folder(Files):
    """A folder of this machine or a mounted share; a study appears in it as a whole or not at all."""

    kind: Literal["folder"] = Field(description="what the destination is")
    path: File = Field(description="the folder; it must exist")


class ObjectStore(Files):
    """S3, Google Cloud Storage, Azure Blob Storage or SFTP."""

    kind: Literal["object-store"] = Field(description="what the destination is")
    url: str = Field(description="s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, sftp://host/folder")
