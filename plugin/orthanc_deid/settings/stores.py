"""Where an object store is and how to log in: S3, Google Cloud Storage, Azure Blob Storage, SFTP."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from .model import File, Model, WebAddress, secret

# Fields that one scheme alone knows.
_BELONG: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "s3": (
            "region", "access_key_id", "secret_access_key_file", "secret_access_key_env", "addressing",
            "server_side_encryption", "kms_key_id", "storage_class",
        ),
        "gs": ("service_account_file",),
        "az": ("connection_string_file", "connection_string_env"),
        "sftp": (
            "username", "password_file", "password_env", "private_key_file", "passphrase_file", "passphrase_env",
            "known_hosts", "host_key_sha256",
        ),
    }
)  # fmt: skip
_PAIRS = ("secret_access_key", "connection_string", "password", "passphrase")


class Store(Model):
    """An object store: its address and log-in."""

    url: str = Field(description="s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, sftp://host:22/folder")
    endpoint_url: WebAddress | None = Field(default=None, description="s3, gs: where the service is, if not the vendor")
    ca_file: File | None = Field(default=None, description="s3, gs, az: certificates that its own must be signed by")
    anonymous: bool = Field(default=False, description="s3, gs, az: no log-in")
    timeout_s: int = Field(default=60, ge=1, le=3600, description="seconds without any answer that count as failure")
    region: str | None = Field(default=None, description="s3: its region")
    access_key_id: str | None = Field(default=None, description="s3; without: the machine's own role")
    secret_access_key_file: File | None = Field(default=None, description="s3: file that holds nothing else")
    secret_access_key_env: str | None = Field(default=None, description="s3: environment variable that holds it")
    addressing: Literal["auto", "path", "virtual"] = Field(default="auto", description="s3: where the bucket is named")
    service_account_file: File | None = Field(default=None, description="gs: the account's JSON key file")
    connection_string_file: File | None = Field(default=None, description="az: file that holds nothing else")
    connection_string_env: str | None = Field(default=None, description="az: environment variable that holds it")
    username: str | None = Field(default=None, description="sftp: user")
    password_file: File | None = Field(default=None, description="sftp: file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="sftp: environment variable that holds the password")
    private_key_file: File | None = Field(default=None, description="sftp: private key instead of a password")
    passphrase_file: File | None = Field(default=None, description="sftp: file that holds the key's passphrase")
    passphrase_env: str | None = Field(default=None, description="sftp: environment variable with the passphrase")
    known_hosts: File | None = Field(default=None, description="sftp: file with the server's key, as ssh writes it")
    host_key_sha256: tuple[str, ...] = Field(
        default=(), description="sftp: fingerprints instead, `SHA256:...` as ssh-keygen -l prints them"
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in _BELONG:
            raise ValueError("it begins with s3://, gs://, az:// or sftp://")
        if not parts.hostname or parts.query or parts.fragment:
            raise ValueError("it is s3://bucket/prefix or sftp://host:22/folder, without ? and #")
        if "@" in parts.netloc:
            raise ValueError("a user or password does not belong here: give username and password_file")
        if parts.scheme != "sftp" and ":" in parts.netloc:
            raise ValueError("it names a bucket; the service's address belongs into endpoint_url")
        if any(part in {"", ".", ".."} for part in parts.path.strip("/").split("/")) and parts.path.strip("/"):
            raise ValueError("no part of the prefix may be empty, `.` or `..`")
        return value

    @property
    def scheme(self) -> str:
        """s3, gs, az or sftp."""
        return urlsplit(self.url).scheme

    @property
    def root(self) -> str:
        """Bucket and prefix, or the folder of the SFTP server; no slash at the end."""
        parts = urlsplit(self.url)
        return parts.path.rstrip("/") if parts.scheme == "sftp" else (parts.netloc + parts.path).rstrip("/")

    def secret_access_key(self) -> str | None:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return secret(self.secret_access_key_file, self.secret_access_key_env)

    def connection_string(self) -> str | None:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return secret(self.connection_string_file, self.connection_string_env)

    def password(self) -> str | None:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return secret(self.password_file, self.password_env)

    def passphrase(self) -> str | None:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return secret(self.passphrase_file, self.passphrase_env)

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        fields_of = type(self).model_fields
        for scheme, fields in _BELONG.items():
            for field in fields:
                if scheme != self.scheme and field in fields_of and getattr(self, field) != fields_of[field].default:
                    raise ValueError(f"{field} belongs to {scheme}://")
        for name in _PAIRS:
            if getattr(self, f"{name}_file") and getattr(self, f"{name}_env"):
                raise ValueError(f"give {name}_file or {name}_env, not both")
        missing = _MISSING[self.scheme](self)
        if missing:
            raise ValueError(missing)
        return self


def _s3(settings: Store) -> str | None:
    given = bool(settings.secret_access_key_file or settings.secret_access_key_env)
    if bool(settings.access_key_id) != given:
        return "access_key_id and secret_access_key_file (or _env) belong together"
    return None


def _az(settings: Store) -> str | None:
    given = settings.connection_string_file or settings.connection_string_env
    return None if given else "az:// needs connection_string_file or connection_string_env"


def _sftp(settings: Store) -> str | None:
    if not settings.username or not (settings.password_file or settings.password_env or settings.private_key_file):
        return "sftp:// needs username, and password_file, password_env or private_key_file"
    if not settings.known_hosts and not settings.host_key_sha256:
        return "sftp:// needs known_hosts or host_key_sha256: without, anybody could be the server"
    return None


_MISSING = MappingProxyType({"s3": _s3, "gs": lambda _: None, "az": _az, "sftp": _sftp})
