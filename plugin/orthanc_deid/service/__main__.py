"""`python -m orthanc_deid.service --socket PATH`: started by the plugin, ends with it."""

import argparse
import logging
import os
import sys

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from .. import install, log, settings
from ..errors import ConfigurationError
from ..header import load_small_pydicom
from ..supervisor import die_with_parent


def main() -> int:
    """Serve until SIGTERM; 2: configuration."""
    parser = argparse.ArgumentParser(description="REST service of Orthanc De-ID; the plugin starts it.")
    parser.add_argument("--socket", required=True, help="Unix socket to listen on, in a folder only the owner enters")
    arguments = parser.parse_args()
    die_with_parent()
    log.set_up("service")
    load_small_pydicom()
    from .app import build
    from .runtime import Runtime

    try:
        loaded = settings.load()
        for name in install.FOLDERS:
            install.private_folder(loaded.home / name)
        install.key(loaded)
        runtime = Runtime(loaded)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # for the person who started it
        return 2
    except SQLAlchemyError as error:
        # The plugin starts the service again, later each time, until the database is back.
        log.event("the database is away", level=logging.ERROR, error=type(error).__name__)
        return 1
    app = build(runtime, os.environ["ORTHANC_DEID_SERVICE_SECRET"])
    uvicorn.run(app, uds=arguments.socket, log_config=None, access_log=False, timeout_graceful_shutdown=3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
