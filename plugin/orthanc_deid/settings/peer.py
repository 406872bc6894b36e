"""Settings of another Orthanc: the destination `orthanc-peer`, and what reaches an Orthanc at all."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .delivery import Delivery
from .model import File, Model, WebAddress, secret


class OrthancNode(Model):
    """Another Orthanc and how to log in, by its REST API."""

    url: WebAddress = Field(description="its web address, https://research.example.org/")
    username: str | None = Field(default=None, description="its user; needs one of the two below")
    password_file: File | None = Field(default=None, description="file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    ca_file: File | None = Field(
        default=None,
        description="authorities (PEM) that our processes trust when they ask it; Orthanc, which sends, trusts "
        "those of HttpsCACertificates in orthanc.json",
    )
    certificate_file: File | None = Field(
        default=None, description="our client certificate (PEM); Orthanc must be able to read it"
    )
    key_file: File | None = Field(default=None, description="its private key (PEM)")
    timeout_s: int = Field(default=30, ge=1, le=3600, description="seconds without any answer that count as failure")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.url.password:
            raise ValueError("url: a password does not belong here: give username and password_file")
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.username and not (self.password_file or self.password_env):
            raise ValueError("username needs password_file or password_env")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        return self

    def password(self) -> str | None:
        """Read the password; raise ConfigurationError where the file or variable is missing."""
        return secret(self.password_file, self.password_env)


class OrthancPeer(Delivery, OrthancNode):
    """Another Orthanc, reached by its REST API; the read-back asks it directly."""

    kind: Literal["orthanc-peer"] = Field(description="what the destination is")
    accelerator: Literal["auto", "never"] = Field(
        default="auto", description="send by the plugin orthanc-transfers where both Orthancs have it"
    )
    compress: bool = Field(default=False, description="compress on the way (gzip)")
