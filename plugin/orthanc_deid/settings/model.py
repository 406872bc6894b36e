"""What every part of the configuration is made of: frozen models, names, files, addresses, secrets."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from ..errors import ConfigurationError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
# Read from text: strict alone would ask YAML for a Path or Url object.
File = Annotated[Path, Field(strict=False)]
WebAddress = Annotated[HttpUrl, Field(strict=False)]


class Model(BaseModel):
    """Frozen, with no key that is not named, and no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def secret(file: Path | None, variable: str | None) -> str | None:
    """Read a secret at the moment of use, so that a rotated file needs no restart; None where none is named.

    Raises
    ------
    ConfigurationError
        The file or variable is missing or empty.
    """
    if file:
        return read_secret(file)
    if variable:
        value = os.environ.get(variable, "")
        if not value:
            raise ConfigurationError(f"variable {variable} is not set")
        return value
    return None


def read_secret(path: Path) -> str:
    """Read a one-line secret file; raise ConfigurationError where it is missing or empty."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"secret file {path.name}: {type(error).__name__}") from None
    if not value:
        raise ConfigurationError(f"secret file {path.name} is empty")
    return value
