"""Settings of the kinds that are sent by Orthanc or as DICOM: dicom, dicomweb, karnak."""

from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from .delivery import Delivery
from .http_auth import ClientCredentials, HeaderName, printable
from .model import File, Model, WebAddress, secret

AeTitle = Annotated[str, Field(pattern=r"^[ -\[\]-~]{1,16}$")]  # PS3.5 6.2: no backslash
PSEUDONYM_FIELDS = ("PatientID", "PatientName", "StudyID", "AccessionNumber")


class DicomNode(Model):
    """A DICOM node and how it is reached."""

    ae: AeTitle = Field(description="its AE title")
    host: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$", description="its name or address")
    port: int = Field(ge=1, le=65535, description="its DICOM port")
    local_ae: AeTitle | None = Field(default=None, description="our AE title towards it; without: this Orthanc's own")
    tls: bool = Field(
        default=False,
        description="DICOM TLS; where Orthanc sends it needs DicomTlsCertificate, DicomTlsPrivateKey and "
        "DicomTlsTrustedCertificates in orthanc.json",
    )
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")


class Dicom(Delivery, DicomNode):
    """A PACS by C-STORE, sent by this Orthanc."""

    kind: Literal["dicom"] = Field(description="what the destination is")
    confirm: Literal["instances", "commitment", "counts", "status"] = Field(
        default="instances",
        description="proof of arrival: C-FIND of every SOP Instance UID (by counts where it answers none), "
        "storage commitment, C-FIND of the number of instances, or only the status of each C-STORE",
    )
    ask_first: bool = Field(
        default=True,
        description="ask by C-FIND what it holds and do not send that again; else what it has accepted before",
    )
    commitment_s: int = Field(
        default=120, ge=1, le=3600, description="seconds to wait for a report of storage commitment in one try"
    )


class DicomwebServer(Model):
    """A DICOMweb server and how to log in: by user and password, by a token, or by OAuth 2."""

    url: WebAddress = Field(description="its DICOMweb root, https://pacs.example.org/dicom-web/")
    username: str | None = Field(default=None, description="its user; needs one of the two below")
    password_file: File | None = Field(default=None, description="file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    token_file: File | None = Field(default=None, description="file that holds nothing but a token")
    token_env: str | None = Field(default=None, description="environment variable that holds a token")
    token_header: HeaderName = Field(default="Authorization", description="header that carries the token")
    token_prefix: str = Field(
        default="Bearer ", pattern=r"^[ -~]{0,32}$", description="what stands before the token in the header"
    )
    oauth: ClientCredentials | None = Field(default=None, description="where a token is fetched")
    ca_file: File | None = Field(
        default=None,
        description="authorities (PEM) that the worker trusts when it asks; Orthanc, which sends, trusts those of "
        "HttpsCACertificates in orthanc.json",
    )
    certificate_file: File | None = Field(default=None, description="our client certificate (PEM)")
    key_file: File | None = Field(default=None, description="its private key (PEM)")
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.url.password:
            raise ValueError("url: a password does not belong here: give username and password_file")
        if self.url.query or self.url.fragment:
            raise ValueError("url: give the root alone, without ? and #")
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.token_file and self.token_env:
            raise ValueError("give token_file or token_env, not both")
        if bool(self.username) != bool(self.password_file or self.password_env):
            raise ValueError("username needs password_file or password_env, and they need it")
        if sum(map(bool, (self.username, self.token_file or self.token_env, self.oauth))) > 1:
            raise ValueError("give one log-in: username, token or oauth")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        return self

    def password(self) -> str | None:
        """Read the password; raise ConfigurationError where the file or variable is missing."""
        return secret(self.password_file, self.password_env)

    def token(self) -> str | None:
        """Read the token; raise ConfigurationError where the file or variable is missing."""
        found = secret(self.token_file, self.token_env)
        return printable(found) if found else None


class Dicomweb(Delivery, DicomwebServer):
    """A DICOMweb server by STOW-RS, sent by this Orthanc's DICOMweb plugin."""

    kind: Literal["dicomweb"] = Field(description="what the destination is")
    sent_by: Literal["orthanc", "worker"] = Field(
        default="orthanc", description="who sends: Orthanc's DICOMweb plugin, or the worker where it is not installed"
    )
    ask_first: bool = Field(default=True, description="ask by QIDO-RS what it holds and do not send that again")


class KarnakNode(DicomNode):
    """Karnak's DICOM side; the worker sends to it, so the TLS files are named here."""

    ca_file: File | None = Field(default=None, description="authorities (PEM) that may have signed its certificate")
    certificate_file: File | None = Field(default=None, description="our client certificate (PEM)")
    key_file: File | None = Field(default=None, description="its private key (PEM)")

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        if self.tls and not self.ca_file:
            raise ValueError("tls needs ca_file: without it anybody could take the data")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file and certificate_file need tls: true")
        return self


class Karnak(Delivery):
    """Karnak or Kheops: pseudonym, album and day shift go along in private attributes of every instance.

    Karnak gives new UIDs to what it passes on, so that nothing can be asked for afterwards: the status of each
    instance is the proof of arrival. A server that keeps the UIDs, such as Kheops, can be asked: `confirm: find`.
    """

    kind: Literal["karnak"] = Field(description="what the destination is")
    album: str = Field(default="", pattern=r"^[ -\[\]-~]{0,64}$", description="the Kheops album; may be empty")
    pseudonym: str = Field(
        default="{PatientID}", description="the pseudonym; PatientID, PatientName, StudyID, AccessionNumber in braces"
    )
    day_shift: str = Field(
        default="0", pattern=r"^-?[0-9]{1,6}$", description="days that Karnak shifts dates by; ours are shifted already"
    )
    dicom: KarnakNode | None = Field(default=None, description="send to this DICOM node")
    dicomweb: DicomwebServer | None = Field(default=None, description="or send to this DICOMweb server")
    confirm: Literal["status", "find"] = Field(
        default="status", description="proof of arrival: the status of each instance, or C-FIND or QIDO-RS as well"
    )

    @field_validator("pseudonym")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        try:
            fields = [(field, form, conversion) for _, field, form, conversion in Formatter().parse(value)]
        except ValueError:
            raise ValueError("a brace is missing: {PatientID}") from None
        named = [field for field, _, _ in fields if field is not None]
        if not named or any(field not in PSEUDONYM_FIELDS for field in named):
            raise ValueError(f"name at least one of {', '.join(PSEUDONYM_FIELDS)} in braces, and nothing else")
        if any(form or conversion for _, form, conversion in fields):
            raise ValueError("only names stand in braces: {PatientID}")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.dicom) == bool(self.dicomweb):
            raise ValueError("give dicom or dicomweb, one of them")
        return self
