"""What the plugin must know at its load, as JSON on stdout: it may not import what reads the settings.

Run by main.py as `python -m orthanc_deid.door_rules`; exit 2 and a message on stderr where the settings are wrong.
"""

import importlib.util
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import profiles, settings
from .confidentiality.method import PRODUCT
from .errors import ConfigurationError


def rules(of: settings.Settings) -> dict[str, Any]:
    """Answer the part of the settings that the plugin needs, and where its pydicom is."""
    configuration = of.configuration
    return {
        "site_packages": str(site_packages()),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "quarantine": str(of.quarantine),
        "instance_bytes": configuration.limits.instance_bytes,
        "refuse": [refusal.model_dump() for refusal in configuration.intake.refuse],
        "automatic": configuration.intake.automatic,
        "again": {
            "home": str(of.home),
            "seen": str(of.seen),
            "folder": str(of.conflicts),
            "own_mark": None if configuration.intake.on_arrival else PRODUCT,  # then no worker stores anything
        },
        "arrival": arrival(of) if configuration.intake.on_arrival else None,
    }


def arrival(of: settings.Settings) -> dict[str, Any]:
    """Answer what de-identification on arrival needs: where the keys are, never a key, and each project in order."""
    return {
        "home": str(of.home),
        "arrived": str(of.arrived),
        "projects": [
            {
                "name": project.name,
                "format": getattr(project.pseudonyms, "format", ""),
                "modality": list(project.match.modality),
                # Only what was said: a default that is spelt out is a contradiction where its option is not chosen.
                "profile": profiles.load(of, project.profile).model_dump(mode="json", exclude_unset=True),
            }
            for project in of.configuration.projects
        ],
    }


def site_packages() -> Path:
    """Answer the folder that this Python imports pydicom from.

    Raises
    ------
    ConfigurationError
        There is no pydicom.
    """
    found = importlib.util.find_spec("pydicom")
    if found is None or found.origin is None:
        raise ConfigurationError("ORTHANC_DEID_PYTHON: this Python has no pydicom")
    return Path(found.origin).parents[1]


def note_mode(of: settings.Settings) -> None:
    """Note since when the door de-identifies, without a gap: what came before may not be taken for its work."""
    mark = of.arrival_since
    if not of.configuration.intake.on_arrival:
        mark.unlink(missing_ok=True)
    elif not mark.exists():
        of.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = mark.with_suffix(".new")
        # Whole seconds, as Orthanc's ReceptionDate has them; it opens its ports after this.
        temporary.write_text(str(int(time.time())), encoding="utf-8")
        temporary.replace(mark)


def main(environment: Mapping[str, str] | None = None, *, starting: bool = False) -> int:
    """Print the rules, or why there are none; answer the exit code.

    `starting`: Orthanc starts with them, and the mode that they say is noted.
    """
    try:
        loaded = settings.load(environment)
        for project in loaded.configuration.projects:
            profiles.load(loaded, project.profile)
        if starting:
            note_mode(loaded)
        sys.stdout.write(json.dumps(rules(loaded)) + "\n")
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(starting=True))
