"""One JSON object a line on stderr; only allow-listed fields, so no identity can be logged by accident."""

import json
import logging
import sys
import time
import warnings

FIELDS = frozenset(
    {
        "study",  # the ledger's own number, never Orthanc's id (a hash of identifiers)
        "row", "batch",  # numbers of ours
        "hash",  # of the newest record of the audit, made with a key
        "collector",  # its name in the configuration
        "version", "run", "step", "flow", "state", "destination", "attempt", "seconds", "count", "expected",
        "found", "error", "slot", "pid", "signal", "code", "route", "method", "port", "check", "project",
        "profile", "database", "limit", "bytes", "next_attempt_s",
    }
)  # fmt: skip

QUIET = (
    "pydicom", "dbos", "uvicorn", "uvicorn.access", "uvicorn.error", "urllib3", "alembic", "sqlalchemy", "pypdf",
    "requests", "requests_oauthlib", "oauthlib", "botocore", "aiobotocore", "s3fs", "fsspec", "gcsfs", "google",
    "azure", "adlfs", "paramiko", "flywheel", "httpx2", "nibabel", "dicom2nifti", "PIL",
)  # fmt: skip

_logger = logging.getLogger("orthanc_deid")


class _JsonLines(logging.Formatter):
    """Message of ours with its fields; of a foreign logger only its name and level: its text may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
        }
        if record.name == _logger.name:
            line["event"] = str(record.msg)
            line |= getattr(record, "fields", {})
        else:
            line |= {"event": "message of a library", "error": record.name}
        return json.dumps(line)


def set_up(process: str) -> None:
    """Send every log of this process to stderr as JSON lines; `process` names who speaks."""
    warnings.simplefilter("ignore")  # a library's warning may hold a value
    handler = logging.StreamHandler(sys.stderr)
    formatter = _JsonLines()
    handler.setFormatter(formatter)
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    _logger.setLevel(logging.INFO)
    for name in QUIET:
        library = logging.getLogger(name)
        # DBOS brings a handler of its own, which writes texts and tracebacks, where it finds none.
        library.handlers = [handler]
        library.propagate = False
        library.setLevel(logging.WARNING)
    event("process started", step=process)


def event(message: str, *, level: int = logging.INFO, **fields: str | float | None) -> None:
    """Log a constant message with allow-listed fields.

    Raises
    ------
    KeyError
        A field is not in `FIELDS`.
    """
    unknown = fields.keys() - FIELDS
    if unknown:
        raise KeyError(f"not an allow-listed log field: {', '.join(sorted(unknown))}")
    _logger.log(level, message, extra={"fields": {k: v for k, v in fields.items() if v is not None}})
