"""Every setting: the environment, and one YAML file whose mistakes are named by file, line and field."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from .errors import ConfigurationError
from .yaml_file import nearest, validated

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
# Read from text: strict alone would ask YAML for a Path or Url object.
File = Annotated[Path, Field(strict=False)]
WebAddress = Annotated[HttpUrl, Field(strict=False)]
CHECKOUT = Path(__file__).resolve().parents[2]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Match(_Model):
    """Which studies belong to a project; every key that is given must agree, none given matches all."""

    modality: tuple[str, ...] = Field(
        default=(), description="one of these is the modality of one of its series; on arrival: of the instance itself"
    )


class Project(_Model):
    """What happens to the studies that match: the first project in the file that matches is theirs."""

    name: Name = Field(description="shown with each of its studies; pseudonyms differ from project to project")
    match: Match = Field(default=Match(), description="which studies are its own")
    profile: Name = Field(default="research", description="name of a profile: profiles/<name>.yaml")
    destinations: tuple[Name, ...] = Field(
        default=(), description="where its results go; none: they stay in this Orthanc"
    )


class OrthancPeer(_Model):
    """Another Orthanc, reached by its REST API; the read-back asks it directly."""

    kind: Literal["orthanc-peer"] = Field(description="what the destination is")
    name: Name = Field(description="the name that projects give")
    url: WebAddress = Field(description="its web address, https://research.example.org/")
    username: str | None = Field(default=None, description="its user; needs one of the two below")
    password_file: File | None = Field(default=None, description="file that holds nothing but the password")
    password_env: str | None = Field(default=None, description="environment variable that holds the password")
    timeout_s: int = Field(default=30, ge=1, le=3600, description="seconds without any answer that count as failure")

    @model_validator(mode="after")
    def _one_secret(self) -> "OrthancPeer":
        if self.url.password:
            raise ValueError("url: a password does not belong here: give username and password_file")
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.username and not (self.password_file or self.password_env):
            raise ValueError("username needs password_file or password_env")
        return self

    def password(self) -> str | None:
        """Read the secret at the moment of use, so that a rotated file needs no restart.

        Raises
        ------
        ConfigurationError
            The file or variable is missing or empty.
        """
        if self.password_file:
            return read_secret(self.password_file)
        if self.password_env:
            value = os.environ.get(self.password_env, "")
            if not value:
                raise ConfigurationError(f"destination {self.name}: variable {self.password_env} is not set")
            return value
        return None


# A union discriminated by `kind`: the next kind of destination is one more member.
Destination = OrthancPeer


class Refusal(_Model):
    """An instance that has every named trait is kept out of Orthanc, in the quarantine folder."""

    name: Name = Field(description="written beside each instance that is refused")
    sop_class: str | None = Field(default=None, pattern=r"^[0-9.]{1,64}$", description="SOP Class UID")
    image_type: str | None = Field(default=None, description="one value of ImageType, any case")

    @model_validator(mode="after")
    def _something(self) -> "Refusal":
        if not (self.sop_class or self.image_type):
            raise ValueError("give sop_class, image_type or both: a refusal of everything is not one")
        return self


class Intake(_Model):
    """How studies become known."""

    automatic: bool = Field(default=True, description="process every study when it is stable")
    on_arrival: bool = Field(
        default=False,
        description="de-identify each instance before it is stored, so that nothing identified ever is; a project's"
        " modality is then that of the instance",
    )
    reconcile_s: float = Field(default=5.0, ge=0.2, le=3600, description="seconds between looks at /changes")
    sweep_s: float = Field(default=600.0, ge=1, le=86400, description="seconds between looks at every study")
    refuse: tuple[Refusal, ...] = Field(default=(), description="instances that are kept out of Orthanc")


class Limits(_Model):
    """Bounds that keep one study from harming the rest."""

    instance_bytes: int = Field(default=2**31, ge=1024, description="bytes; a larger instance is refused")
    attempts: int = Field(default=5, ge=1, le=100, description="tries of the de-identification")
    delivery_attempts: int = Field(default=100, ge=1, le=10000, description="tries of each destination")
    backoff_s: float = Field(default=5.0, ge=0.1, description="seconds before the second try; doubles each time")
    backoff_most_s: float = Field(default=3600.0, ge=0.1, description="most seconds between two tries")
    step_s: int = Field(default=3600, ge=10, description="seconds that sending one study to one destination may take")


class Access(_Model):
    """Who may ask for what; roles come with their issue, today Orthanc's own users are all operators."""


class Configuration(_Model):
    """The YAML file."""

    projects: tuple[Project, ...] = Field(
        default=(Project(name="default"),), min_length=1, description="the first that matches takes the study"
    )
    destinations: tuple[Destination, ...] = Field(default=(), description="where results can go")
    intake: Intake = Field(default=Intake(), description="how studies become known")
    limits: Limits = Field(default=Limits(), description="bounds that keep one study from harming the rest")
    access: Access = Field(default=Access(), description="who may ask for what; holds no key yet")

    @model_validator(mode="after")
    def _names_resolve(self) -> "Configuration":
        for kind, names in (
            ("projects", [p.name for p in self.projects]),
            ("destinations", [d.name for d in self.destinations]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{kind}: the name {twice[0]} is used twice")
        known = [d.name for d in self.destinations]
        for project in self.projects:
            for name in project.destinations:
                if name not in known:
                    raise ValueError(f"project {project.name}: no destination is called {name}{nearest(name, known)}")
        return self

    def destination(self, name: str) -> Destination:
        """Return the destination of that name, or raise ConfigurationError."""
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = [each.name for each in self.destinations]
        raise ConfigurationError(f"no destination is called {name}{nearest(name, known)}")

    def project(self, name: str) -> Project:
        """Return the project of that name, or raise ConfigurationError."""
        for project in self.projects:
            if project.name == name:
                return project
        raise ConfigurationError(f"no project is called {name}{nearest(name, [each.name for each in self.projects])}")


class Settings(_Model):
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


def read_secret(path: Path) -> str:
    """Read a one-line secret file; raise ConfigurationError where it is missing or empty."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"secret file {path.name}: {type(error).__name__}") from None
    if not value:
        raise ConfigurationError(f"secret file {path.name} is empty")
    return value


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name}: not a whole number")
    return int(value)
