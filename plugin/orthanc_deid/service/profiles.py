"""Routes on profiles and projects: what the configuration says."""

from typing import Any

from .. import profiles
from ..confidentiality.profile import Profile
from ..errors import ConfigurationError, NotFound
from ..explained import explained
from .parameters import Held, ProfileName


def list_profiles(runtime: Held) -> Any:
    """List the profiles that projects can name; one with faults says which."""
    return {"items": [_listed(runtime, name) for name in profiles.known(runtime.settings)]}


def show_profile(runtime: Held, name: ProfileName) -> Any:
    """Show what a profile does with every attribute, who does it, and why."""
    if name not in profiles.known(runtime.settings):
        raise NotFound("no profile of that name is there")
    told = profiles.load(runtime.settings, name)
    return _summary(told) | {"attributes": [line._asdict() for line in explained(told)]}


def list_projects(runtime: Held) -> Any:
    """List the projects in the order in which they are tried."""
    return {
        "items": [
            {
                "name": project.name,
                "modality": list(project.match.modality),
                "profile": project.profile,
                "destinations": list(project.destinations),
                "convert": list(project.convert),
                "priority": project.priority,
            }
            for project in runtime.settings.configuration.projects
        ]
    }


def _listed(runtime: Held, name: str) -> dict[str, Any]:
    try:
        return _summary(profiles.load(runtime.settings, name))
    except ConfigurationError as error:
        return {"name": name, "version": "", "digest": "", "title": "", "options": [], "fault": str(error)}


def _summary(told: Profile) -> dict[str, Any]:
    texts = {"name": told.name, "version": told.version, "digest": told.digest, "title": told.title}
    return texts | {"options": [str(option) for option in told.options]}
