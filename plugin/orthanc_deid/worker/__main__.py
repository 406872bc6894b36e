"""One worker: takes its slot, launches the engine, says that it lives, stops cleanly."""

import argparse
import sys

from .. import log, settings
from ..errors import ConfigurationError
from ..header import load_small_pydicom
from ..supervisor import die_with_parent


def main() -> int:
    """Run until SIGTERM; 2: configuration, 3: the slot is taken."""
    arguments = argparse.ArgumentParser(description="One worker of Orthanc De-ID; the service starts it.")
    arguments.add_argument("--slot", type=int, default=0, help="number of this worker on this machine, from 0")
    slot = arguments.parse_args().slot
    die_with_parent()
    log.set_up("worker")
    load_small_pydicom()
    from .slot import run

    try:
        return run(settings.load(), slot)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # for the person who started it
        return 2


if __name__ == "__main__":
    sys.exit(main())
