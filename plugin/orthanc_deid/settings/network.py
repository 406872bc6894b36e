"""Settings of the kinds that are sent by Orthanc or as DICOM: dicom, dicomweb, karnak."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .delivery import Delivery
from .model import File, Model, WebAddress, secret

AeTitle = Annotated[str, Field(pattern=r"^[ -~]{1,16}$")]


class DicomModality(Model):
    """A DICOM node that takes C-STORE."""

    ae: AeTitle = Field(description="its AE title")
    host: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$", description="its name or address")
    port: int = Field(ge=1, le=65535, description="its DICOM port")


class Dicom(Delivery, DicomModality):
    """A PACS by C-STORE, sent by this Orthanc."""

    kind: Literal["dicom"] = Field(description="what the destination is")
    confirm: Literal["commitment", "find"] = Field(
        default="find", description="proof of arrival: storage commitment, or C-FIND of every instance"
    )
    tls: bool = Field(default=False, description="DICOM TLS; needs DicomTls* in orthanc.json")
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")


class Dicomweb(Delivery):
    """A DICOMweb server by STOW-RS, sent by this Orthanc's DICOMweb plugin."""

    kind: Literal["dicomweb"] = Field(description="what the destination is")
    url: WebAddress = Field(description="its DICOMweb root, https://pacs.example.org/dicom-web/")
    username: str | None = Field(default=None, description="its user; needs one of the two below")
    password_file: File | None = Field(default=None, description="file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    token_file: File | None = Field(default=None, description="file that holds a bearer token")
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")

    @model_validator(mode="after")
    def _one_secret(self) -> "Dicomweb":
        if self.url.password:
            raise ValueError("url: a password does not belong here: give username and password_file")
        if self.username and not (self.password_file or self.password_env):
            raise ValueError("username needs password_file or password_env")
        return self

    def password(self) -> str | None:
        """Read the password; raise ConfigurationError where the file or variable is missing."""
        return secret(self.password_file, self.password_env)
