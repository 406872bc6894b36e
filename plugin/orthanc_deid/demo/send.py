"""Send a sample study the way a modality or a person would."""

import os
import subprocess
import tempfile
from pathlib import Path

from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from orthanc_deid.errors import DeidError

from .samples import C_STORE, Study
from .servers import Server

# storescu sends a compressed file as it is only where it proposes that transfer syntax.
PROPOSE: dict[str, list[str]] = {
    RLELossless: ["-xr"],
    JPEG2000Lossless: ["-xv"],
    JPEG2000: ["-xw"],
    JPEGBaseline8Bit: ["-xy"],
}


class NotSent(DeidError):
    """The clinical Orthanc did not take a sample."""


def send(study: Study, server: Server) -> None:
    """Send every instance; raise NotSent where one is refused."""
    if study.way == C_STORE:
        _c_store(study, server.site.dicom_port)
    else:
        client = server.client()
        for file in study.files:
            client.store(file)


def _c_store(study: Study, port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="deid-demo-") as folder:
        for number, file in enumerate(study.files):
            (Path(folder) / f"{number:04}.dcm").write_bytes(file)
        command = [
            "/usr/bin/storescu",
            "-R",
            *PROPOSE.get(study.transfer_syntax, []),
            "-aet",
            "MODALITY",
            "-aec",
            "ORTHANCDEID",
        ]
        finished = subprocess.run(
            [*command, "+sd", "127.0.0.1", str(port), folder],
            env=os.environ | {"TCP_NODELAY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    if finished.returncode != 0:
        raise NotSent(f"storescu ended with {finished.returncode} for the sample {study.title}")
