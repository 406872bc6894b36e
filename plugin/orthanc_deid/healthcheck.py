"""What a container's health check asks: `python -m orthanc_deid.healthcheck product|archive|worker`."""

import sys

from . import settings
from .errors import DeidError, Retriable
from .orthanc_rest import Address, Orthanc, basic, local_address

TIMEOUT_S = 5.0


def main(role: str) -> int:
    """Answer 0 where the process beside this one can do its work, else 1 with the reason on stderr."""
    try:
        check(settings.load(), role)
    except DeidError as error:
        print(error, file=sys.stderr)  # noqa: T201  # `docker inspect` shows it
        return 1
    return 0


def check(site: settings.Settings, role: str) -> None:
    """Raise DeidError where the product is not well, or what it needs does not answer."""
    if role == "worker":
        Orthanc(local_address(site)).system()
        return
    password = settings.read_secret(site.admin_password_file)
    orthanc = Orthanc(Address(f"http://127.0.0.1:{site.http_port}", basic("admin", password), TIMEOUT_S))
    if role == "archive":
        orthanc.system()
    elif (status := orthanc.get("/deid/health")["status"]) != "ok":
        raise Retriable(f"health is {status}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
