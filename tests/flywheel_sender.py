"""Sends one study to Flywheel in a process of its own, which a test can kill: `python flywheel_sender.py JSON`."""

import json
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "plugin"), str(CHECKOUT / "tests")]

from flywheel_studies import settings  # noqa: E402
from orthanc_deid.destinations.flywheel import FlywheelDestination  # noqa: E402
from orthanc_deid.orthanc_rest import Address, Orthanc, basic  # noqa: E402
from shipments import make_shipment  # noqa: E402


def main() -> None:
    """Send, and print the most memory that it took in KiB."""
    told = json.loads(sys.argv[1])
    orthanc = Orthanc(Address(told["url"], basic("admin", told["password"])))
    shipment = make_shipment(Path(told["folder"]), orthanc, told["study"])
    FlywheelDestination(settings(**told["settings"]), orthanc).send(shipment)
    # Not ru_maxrss: that begins with what the process had that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(status["VmHWM"].split()[0])  # noqa: T201  # its answer


if __name__ == "__main__":
    main()
