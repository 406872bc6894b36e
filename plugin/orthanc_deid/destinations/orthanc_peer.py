"""Another Orthanc: sent by a peer job of our Orthanc, confirmed by asking the other one directly."""

from ..errors import NotFound, Retriable
from ..orthanc_rest import Orthanc, peer_address
from ..settings import OrthancPeer
from .base import Shipment


class OrthancPeerDestination:
    """A peer Orthanc, registered in ours under the destination's name."""

    def __init__(self, settings: OrthancPeer, orthanc: Orthanc) -> None:
        self._settings = settings
        self._orthanc = orthanc
        self._address = peer_address(settings)
        self._peer = Orthanc(self._address)

    def check(self) -> str:
        """Ask the peer for its version."""
        return f"Orthanc {self._peer.system()['Version']}"

    def send(self, shipment: Shipment, seconds: float) -> None:
        """Send as an asynchronous job; the same instances a second time are overwritten or ignored there."""
        self._peer.system()  # a peer that is down is found in milliseconds, not at the job's time-out
        self._orthanc.put_peer(self._settings.name, self._address, self._settings.username, self._settings.password())
        missing = set(shipment.new) - set(self._arrived(shipment.output))
        if missing:
            job = self._orthanc.send_to_peer(self._settings.name, [i for i in shipment.new if i in missing])
            self._orthanc.await_job(job, seconds)

    def confirm(self, shipment: Shipment) -> int:
        """Compare SOPInstanceUIDs at both ends.

        Raises
        ------
        Retriable
            Some of the instances are not there.
        """
        here = {i["ID"]: i["MainDicomTags"]["SOPInstanceUID"] for i in self._orthanc.instances(shipment.output)}
        expected = {here[i] for i in shipment.all if i in here}
        there = set(self._arrived(shipment.output).values())
        if len(expected) != len(shipment.all):
            raise Retriable(f"{len(expected)} of {len(shipment.all)} de-identified instances are in our Orthanc")
        if not expected <= there:
            raise Retriable(f"{len(expected & there)} of {len(expected)} instances are at the destination")
        return len(expected)

    def _arrived(self, output: str) -> dict[str, str]:
        """Map the Orthanc ids at the peer to their SOPInstanceUIDs."""
        try:
            return {i["ID"]: i["MainDicomTags"]["SOPInstanceUID"] for i in self._peer.instances(output)}
        except NotFound:
            return {}
