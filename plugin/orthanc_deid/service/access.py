"""Who may do what: Orthanc's users are operators, and a role is held by those whom the configuration names alone."""

import logging

from .. import log
from ..errors import Forbidden
from .parameters import NOBODY
from .runtime import Runtime

REIDENTIFY = "reidentify"


def demand_role(runtime: Runtime, user: str, role: str) -> None:
    """Let a user go on who has a role.

    `user` is whom Orthanc has let in by name and password. Where it has asked for neither, nobody has any role.

    Raises
    ------
    Forbidden
        `access` of the configuration does not name him for the role.
    """
    names = getattr(runtime.settings.configuration.access, role)
    if user in names and user != NOBODY:
        return
    log.event("role refused", level=logging.WARNING, check=role)
    runtime.audit.write("refused", actor=user, role=role)
    raise Forbidden(_mend(user, role))


def _mend(user: str, role: str) -> str:
    if user == NOBODY:
        return f"this needs the role {role}, and Orthanc has asked nobody's name: set AuthenticationEnabled of Orthanc"
    return f"this needs the role {role}: add the user that you log in as to access.{role} of deid.yaml, and restart"
