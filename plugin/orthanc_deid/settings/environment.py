"""The environment, and everything together as one frozen value."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ..errors import ConfigurationError
from ..yaml_file import validated
from .configuration import Configuration
from .model import File, Model

CHECKOUT = Path(__file__).resolve().parents[3]
FREE_BYTES = 2**30  # less on the disk of ORTHANC_DEID_HOME is a fault


class Settings(Model):
    """Environment and file together; made once at the start of a process by `load`."""

    home: File
    config_file: File
    configuration: Configuration
    http_port: int = Field(ge=1, le=65535)
    dicom_port: int = Field(ge=1, le=65535)
    database_url: str = Field(repr=False)  # may hold a password
    workers: int = Field(ge=1, le=64)
    processes: int = Field(ge=1, le=256, description="CPU processes of each worker")
    stable_age_s: float = Field(ge=0, description="Orthanc's StableAge; the plugin passes it on")
    orthanc_url: str
    orthanc_token: str | None = Field(default=None, repr=False)
    orthanc_username: str | None = None
    orthanc_password_file: File | None = None

    @property
    def key_file(self) -> Path:
        """The master key: pseudonyms, UIDs and date offsets of every project derive from it."""
        return self.home / "key"

    @property
    def admin_password_file(self) -> Path:
        """The password of the local Orthanc's user `admin`."""
        return self.home / "admin-password"

    @property
    def quarantine(self) -> Path:
        """Where the door puts what it refuses."""
        return self.home / "quarantine"

    @property
    def seen(self) -> Path:
        """What has passed the door: digests by which an instance is known that comes again."""
        return self.home / "seen.sqlite"

    @property
    def conflicts(self) -> Path:
        """Where the door puts what came again with another content."""
        return self.home / "conflicts"

    @property
    def bids_folders(self) -> tuple[Path, ...]:
        """Where rule sets of BIDS are looked for: beside the configuration file, then those shipped."""
        return (self.config_file.parent / "bids", CHECKOUT / "orthanc-config" / "bids")

    @property
    def results(self) -> Path:
        """Conversions of de-identified studies, until retention removes them."""
        return self.home / "results"

    @property
    def arrival_since(self) -> Path:
        """Since when every instance is de-identified before it is stored, in UTC seconds; written as Orthanc starts."""
        return self.home / "arrival-since"

    @property
    def arrived(self) -> Path:
        """Who was de-identified on arrival, encrypted, until the crosswalk has it."""
        return self.home / "arrived.sqlite"

    @property
    def profile_folders(self) -> tuple[Path, ...]:
        """Where profiles are looked for: beside the configuration file, then those shipped."""
        return (self.config_file.parent / "profiles", CHECKOUT / "orthanc-config" / "profiles")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and the YAML file.

    Raises
    ------
    ConfigurationError
        Anything unknown, missing or of a wrong kind: all faults at once, a line each.
    """
    env = os.environ if environment is None else environment
    home = Path(env.get("ORTHANC_DEID_HOME") or CHECKOUT / ".orthanc-deid").absolute()
    config_file = Path(env.get("ORTHANC_DEID_CONFIG") or CHECKOUT / "orthanc-config" / "deid.yaml").absolute()
    http_port = _integer(env, "ORTHANC_DEID_HTTP_PORT", 8042)
    password_file = env.get("ORTHANC_DEID_ORTHANC_PASSWORD_FILE")
    values: dict[str, Any] = {
        "home": home,
        "config_file": config_file,
        "configuration": load_file(config_file),
        "http_port": http_port,
        "dicom_port": _integer(env, "ORTHANC_DEID_DICOM_PORT", 4242),
        "database_url": env.get("ORTHANC_DEID_DATABASE_URL") or f"sqlite:///{home / 'deid.sqlite'}",
        "workers": _integer(env, "ORTHANC_DEID_WORKERS", 1),
        "processes": _integer(env, "ORTHANC_DEID_PROCESSES", os.cpu_count() or 1),
        "stable_age_s": float(_integer(env, "ORTHANC_DEID_STABLE_AGE_S", 60)),
        "orthanc_url": env.get("ORTHANC_DEID_ORTHANC_URL") or f"http://127.0.0.1:{http_port}",
        "orthanc_token": env.get("ORTHANC_DEID_ORTHANC_TOKEN"),
        "orthanc_username": env.get("ORTHANC_DEID_ORTHANC_USERNAME"),
        "orthanc_password_file": Path(password_file) if password_file else None,
    }
    try:
        return Settings(**values)
    except ValidationError as error:
        faults = "\n".join(f"ORTHANC_DEID_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(faults) from None


def load_file(path: Path) -> Configuration:
    """Read one YAML configuration; raise ConfigurationError with `file:line: field: message` per fault."""
    return validated(Configuration, path)


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name}: not a whole number")
    return int(value)
