"""The collector process; the service starts it where the configuration names something to collect."""

import argparse
import sys

from .. import log, settings
from ..errors import ConfigurationError
from ..header import load_small_pydicom
from ..supervisor import die_with_parent


def main() -> int:
    """Run until SIGTERM; 2: configuration, 3: another one runs."""
    argparse.ArgumentParser(description="The collector of Orthanc De-ID; the service starts it.").parse_args()
    die_with_parent()
    log.set_up("collect")
    load_small_pydicom()
    from .process import run

    try:
        return run(settings.load())
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # for the person who started it
        return 2


if __name__ == "__main__":
    sys.exit(main())
