"""Settings of pseudonyms that a service on the network gives."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from . import http_fields
from .http import Code, Pointer
from .http_auth import Auth, HeaderName, printable
from .model import File, Model, WebAddress, secret

# What templates may say of a study: DICOM keywords, parts of PatientName and PatientBirthDate, and the project's name.
OF_DICOM = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber",
    "StudyInstanceUID",
)  # fmt: skip
PARTS = ("FamilyName", "GivenName", "BirthYear", "BirthMonth", "BirthDay")
FIELDS = (*OF_DICOM, *PARTS, "project")
_WHO = frozenset({"PatientID", "AccessionNumber", "StudyInstanceUID"})
_OURS = frozenset(("authorization", "content-length", "content-type", "host", "transfer-encoding"))
_SECRETS = ("auth", "key", "token", "secret", "password", "cookie")

# What a preset says of the log-in where the file says nothing else.
LOG_INS: Mapping[str, Mapping[str, str]] = {
    "deid-api": {"header": "Authorization", "prefix": "token "},
    "gpas": {"header": "Authorization", "prefix": "Bearer "},
    "mainzelliste": {"header": "mainzellisteApiKey"},
}
_GENERIC = ("method", "body", "pseudonym", "offset_days", "subject", "session", "accession", "missing")


def is_guarded(url: str) -> bool:
    """Tell whether identities and secrets may go to an address: by https, or without leaving this machine."""
    address = urlsplit(url)
    host = address.hostname or ""
    return address.scheme == "https" or (address.scheme == "http" and (host == "localhost" or _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class HeaderSecret(Model):
    """A secret that is the value of a header."""

    file: File | None = Field(default=None, description="file that holds nothing but the secret")
    env: str | None = Field(default=None, description="environment variable that holds the secret")
    prefix: str = Field(default="", pattern=r"^[ -~]{0,64}$", description="what stands before it")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.file) == bool(self.env):
            raise ValueError("give file or env, one of them")
        return self

    def value(self) -> str:
        """Read it; raise ConfigurationError where the file or variable is missing."""
        return self.prefix + printable(secret(self.file, self.env) or "")


def _text(template: str) -> str:
    http_fields.check(template, FIELDS)
    return template


Text = Annotated[str, AfterValidator(_text)]
FilledPointer = Annotated[Pointer, AfterValidator(_text)]


class NotKnown(Model):
    """What an answer is like that says that the service does not know the patient."""

    codes: tuple[Code, ...] = Field(default=(404,), description="status codes that say so")
    pointer: FilledPointer | None = Field(default=None, description="JSON pointer of a value that says so")
    equals: str | int | float | bool | None = Field(default=None, description="what it is then; without: null")


class DeidApi(Model):
    """What is particular to the De-ID API (GPCR)."""

    shift_suffix: str = Field(
        default="_shift", pattern=r"^[A-Za-z0-9_./-]{1,64}$", description="behind url: where day shifts are asked for"
    )


class Dasher(Model):
    """What is particular to DASHER."""

    study: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="name of the study there; sent in lower case")
    token_file: File = Field(
        description="JSON with accessToken, client_id, refreshToken, token_uri; rewritten when the token is renewed"
    )
    id_source: str = Field(default="Stanford MRN", min_length=1, description="what the PatientID is")
    item_source: str = Field(default="DCM Accession #", min_length=1, description="what the accession number is")


class Gpas(Model):
    """What is particular to gPAS."""

    domain: str = Field(min_length=1, max_length=255, description="pseudonym domain: target")
    operation: Literal["$pseudonymizeAllowCreate", "$pseudonymize"] = Field(
        default="$pseudonymizeAllowCreate", description="the second makes no pseudonym: who has none is missing"
    )
    original: Text = Field(default="{PatientID}", description="what stands for the patient; fields in braces")


class Mainzelliste(Model):
    """What is particular to Mainzelliste."""

    id_type: str = Field(
        default="pid", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="type of the id that is the pseudonym"
    )
    fields: dict[str, Text] = Field(
        default={
            "vorname": "{GivenName}",
            "nachname": "{FamilyName}",
            "geburtstag": "{BirthDay}",
            "geburtsmonat": "{BirthMonth}",
            "geburtsjahr": "{BirthYear}",
        },
        min_length=1,
        description="its fields (or types of external ids) by name; fields in braces; an empty one is never sent",
    )
    api_version: str = Field(default="3.1", pattern=r"^[0-9]{1,2}\.[0-9]{1,2}$", description="of its interface")


class HttpPseudonyms(Model):
    """A service on the network is asked once for each patient, or study; the crosswalk keeps what it says."""

    kind: Literal["http"] = Field(description="where pseudonyms come from")
    preset: Literal["deid-api", "dasher", "gpas", "mainzelliste"] | None = Field(
        default=None, description="a service whose requests and answers are known; without: as told below"
    )
    url: WebAddress = Field(description="where it is asked: https, or http on this machine; it holds no field")
    method: Literal["POST", "PUT"] = Field(default="POST", description="its method")
    headers: dict[HeaderName, str] = Field(default={}, description="further headers; they hold no field")
    secret_headers: dict[HeaderName, HeaderSecret] = Field(
        default={}, description="further headers whose value is a secret"
    )
    body: Any = Field(default=None, description="JSON that is sent; fields in braces")
    auth: Auth | None = Field(default=None, description="how it is proved who asks; without: not at all")
    pseudonym: FilledPointer | None = Field(default=None, description="JSON pointer of the pseudonym in the answer")
    offset_days: FilledPointer | None = Field(
        default=None, description="JSON pointer of the days that are added to all dates; without: made of the key"
    )
    subject: FilledPointer | None = Field(default=None, description="JSON pointer of the subject's label")
    session: FilledPointer | None = Field(default=None, description="JSON pointer of the session's label")
    accession: FilledPointer | None = Field(
        default=None, description="JSON pointer of what stands for the accession number"
    )
    missing: NotKnown = Field(default=NotKnown(), description="what an answer is like for who is not known")
    offsets: bool = Field(
        default=True, description="deid-api, dasher: dates are moved as the service says; false: as made of the key"
    )
    deid_api: DeidApi | None = Field(default=None, description="more of preset deid-api")
    dasher: Dasher | None = Field(default=None, description="more of preset dasher")
    gpas: Gpas | None = Field(default=None, description="more of preset gpas")
    mainzelliste: Mainzelliste | None = Field(default=None, description="more of preset mainzelliste")
    project: str | None = Field(
        default=None, min_length=1, max_length=255, description="what {project} is; without: the project's name"
    )
    ca_file: File | None = Field(
        default=None, description="certificates that are trusted (PEM); without: the public authorities"
    )
    certificate_file: File | None = Field(default=None, description="our own certificate (PEM) for mutual TLS")
    key_file: File | None = Field(default=None, description="its private key (PEM); without: in the same file")
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60, description="seconds until there is a connection")
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="seconds that one answer may take")
    total_s: float = Field(default=30.0, gt=0, le=900, description="seconds that all tries may take together")
    tries: int = Field(default=3, ge=1, le=10, description="tries in quick succession; then the study waits")

    @model_validator(mode="before")
    @classmethod
    def _log_in(cls, values: Any) -> Any:  # noqa: ANN401  # whatever the file holds
        if not isinstance(values, Mapping) or not isinstance(values.get("preset"), str):
            return values
        auth = values.get("auth")
        if not isinstance(auth, Mapping) or auth.get("kind") != "header":
            return values
        return {**values, "auth": {**LOG_INS.get(values["preset"], {}), **auth}}

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._check_url()
        self._check_headers()
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        if self.preset is None:
            self._check_generic()
        else:
            self._check_preset()
        for name in ("deid_api", "dasher", "gpas", "mainzelliste"):
            if getattr(self, name) and name.replace("_", "-") != self.preset:
                raise ValueError(f"{name}: only with preset: {name.replace('_', '-')}")
        return self

    def _check_url(self) -> None:
        text = str(self.url)
        if self.url.username or self.url.password or self.url.query or self.url.fragment:
            raise ValueError("url: neither user, password nor parameters belong here: see auth")
        if "{" in text or "%7b" in text.lower():
            raise ValueError("url: it holds no field: addresses are written to logs on the way; put it into body")
        if not is_guarded(text):
            raise ValueError("url: identities go over https only, except to this machine")

    def _check_headers(self) -> None:
        for name in (*self.headers, *self.secret_headers):
            if name.lower() in _OURS:
                raise ValueError(f"headers: {name} is ours to set: see auth")
        for name, value in self.headers.items():
            if any(word in name.lower() for word in _SECRETS):
                raise ValueError(f"headers: {name}: a secret stands in a file or the environment: see secret_headers")
            if "{" in value or not (value.isascii() and value.isprintable()):
                raise ValueError(f"headers: {name}: one line of ASCII characters without a field")

    def _check_generic(self) -> None:
        if self.body is None or self.pseudonym is None:
            raise ValueError("give a preset, or body and pseudonym")
        if not http_fields.check_values(self.body, FIELDS) & _WHO:
            raise ValueError(f"body: it names nobody: it needs one of {', '.join(sorted(_WHO))} in braces")

    def _check_preset(self) -> None:
        given = [name for name in _GENERIC if name in self.model_fields_set]
        if given:
            raise ValueError(f"{given[0]}: preset {self.preset} has its own; leave preset out to write it yourself")
        if self.preset == "dasher" and self.auth:
            raise ValueError("auth: DASHER's token is in dasher.token_file")
        needed = {"dasher": self.dasher, "gpas": self.gpas}
        if self.preset in needed and needed[self.preset] is None:
            raise ValueError(f"{self.preset}: is missing: preset {self.preset} needs it")
