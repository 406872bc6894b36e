"""Finds a profile by name: beside the configuration first, then among those shipped."""

from .confidentiality.profile import Profile
from .errors import ConfigurationError
from .settings import Settings
from .yaml_file import validated


def load(settings: Settings, name: str) -> Profile:
    """Read the profile of that name.

    Raises
    ------
    ConfigurationError
        Nothing is called so (the message lists what is), or the file has faults (`file:line: field: message`).
    """
    for folder in settings.profile_folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            profile = validated(Profile, path)
            if profile.name != name:
                raise ConfigurationError(f"{path.name}:1: name: is {profile.name}, but the file is called {name}")
            return profile
    raise ConfigurationError(f"no profile is called {name} (known: {', '.join(known(settings))})")


def known(settings: Settings) -> list[str]:
    """List the names of all profiles that can be loaded."""
    return sorted({path.stem for folder in settings.profile_folders for path in folder.glob("*.yaml")})
