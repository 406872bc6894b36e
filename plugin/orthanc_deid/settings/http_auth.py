"""How it is proved to an HTTP server who sends."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..errors import ConfigurationError
from .model import File, Model, WebAddress, secret

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class HeaderAuth(Model):
    """A secret in a header: an API key, a bearer token."""

    kind: Literal["header"] = Field(description="a secret in a header")
    header: HeaderName = Field(default="Authorization", description="name of the header")
    prefix: str = Field(default="", pattern=r"^[ -~]{0,64}$", description='before the secret: "Bearer "')
    value_file: File | None = Field(default=None, description="file that holds nothing but the secret")
    value_env: str | None = Field(default=None, description="environment variable that holds the secret")

    @model_validator(mode="after")
    def _one(self) -> "HeaderAuth":
        if bool(self.value_file) == bool(self.value_env):
            raise ValueError("give value_file or value_env, one of them")
        return self

    def value(self) -> str:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return printable(_present(secret(self.value_file, self.value_env)))


class BasicAuth(Model):
    """User name and password."""

    kind: Literal["basic"] = Field(description="user name and password")
    username: str = Field(min_length=1, description="the user")
    password_file: File | None = Field(default=None, description="file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="environment variable that holds the password")

    @model_validator(mode="after")
    def _one(self) -> "BasicAuth":
        if bool(self.password_file) == bool(self.password_env):
            raise ValueError("give password_file or password_env, one of them")
        return self

    def password(self) -> str:
        """Read the password; raise ConfigurationError where the file or variable is missing."""
        return _present(secret(self.password_file, self.password_env))


class ClientCredentials(Model):
    """OAuth 2 client credentials (RFC 6749 section 4.4); the token lives in memory only."""

    token_url: WebAddress = Field(description="https://login.example.org/oauth2/token")
    client_id: str = Field(min_length=1, description="the client")
    client_secret_file: File | None = Field(default=None, description="file that holds nothing but its secret")
    client_secret_env: str | None = Field(default=None, description="environment variable that holds its secret")
    client_secret_in: Literal["header", "body"] = Field(default="header", description="where the secret is sent")
    scope: tuple[str, ...] = Field(default=(), description="scopes that are asked for")
    parameters: dict[str, str] = Field(default={}, description="further parameters, for example audience")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.token_url.scheme != "https":
            raise ValueError("token_url: a secret goes over https only (RFC 6749 section 3.2)")
        if bool(self.client_secret_file) == bool(self.client_secret_env):
            raise ValueError("give client_secret_file or client_secret_env, one of them")
        return self

    def client_secret(self) -> str:
        """Read the secret; raise ConfigurationError where the file or variable is missing."""
        return _present(secret(self.client_secret_file, self.client_secret_env))


class OAuth2(ClientCredentials):
    """OAuth 2 client credentials (RFC 6749 section 4.4); the token lives in memory only."""

    kind: Literal["oauth2"] = Field(description="OAuth2 client credentials")


Auth = Annotated[HeaderAuth | BasicAuth | OAuth2, Field(discriminator="kind")]


def printable(value: str) -> str:
    """Return what can stand in a header; raise ConfigurationError for anything else, without showing it."""
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError("a secret for a header holds other characters than printable ASCII")
    return value


def _present(value: str | None) -> str:
    if value is None or any(c in value for c in "\r\n\0"):
        raise ConfigurationError("a secret is missing or has more than one line")
    return value
