"""Finds a profile by name: beside the configuration first, then among those shipped."""

from pathlib import Path

from pydantic import ValidationError

from .confidentiality.profile import Profile
from .errors import ConfigurationError
from .settings import Settings
from .yaml_file import nearest, parse_yaml, validated


def load(settings: Settings, name: str) -> Profile:
    """Read the profile of that name, and what it is based on.

    Raises
    ------
    ConfigurationError
        Nothing is called so (the message lists what is), or the file has faults (`file:line: field: message`).
    """
    path = _find(settings, name)
    if path is None:
        raise ConfigurationError(f"no profile is called {name}{nearest(name, known(settings))}")
    return read(settings, path)


def read(settings: Settings, path: Path, below: tuple[str, ...] = ()) -> Profile:
    """Read the profile in a file; `below` names those that are based on it."""
    profile = validated(Profile, path)
    if profile.name != path.stem:
        raise ConfigurationError(f"{path.name}:1: name: is {profile.name}, but the file is called {path.stem}")
    if profile.based_on is None:
        return profile
    _values, lines = parse_yaml(path.read_text(encoding="utf-8"), path.name)
    where = f"{path.name}:{lines['based_on',]}: based_on"
    if profile.based_on in (*below, profile.name):
        raise ConfigurationError(f"{where}: {profile.based_on} is based on this one")
    base = _find(settings, profile.based_on)
    if base is None:
        raise ConfigurationError(
            f"{where}: no profile is called {profile.based_on}{nearest(profile.based_on, known(settings))}"
        )
    try:
        return profile.over(read(settings, base, (*below, profile.name)))
    except ValidationError as error:
        told = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())
        raise ConfigurationError(f"{where}: with {profile.based_on} under it: {told}") from None


def known(settings: Settings) -> list[str]:
    """List the names of all profiles that can be loaded."""
    return sorted({path.stem for folder in settings.profile_folders for path in folder.glob("*.yaml")})


def _find(settings: Settings, name: str) -> Path | None:
    paths = (folder / f"{name}.yaml" for folder in settings.profile_folders)
    return next((path for path in paths if path.is_file()), None)
