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
        # A name of our own: a peer of the site's orthanc.json must not be replaced.
        self._name = f"deid-{settings.name}"
        self._peer = Orthanc(self._address)

    def check(self) -> str:
        """Ask the peer for its version."""
        return f"Orthanc {self._peer.system()['Version']}"

    def send(self, shipment: Shipment, seconds: float) -> None:
        """Send as an asynchronous job; the same instances a second time are overwritten or ignored there."""
        self._peer.system()  # a peer that is down is found in milliseconds, not at the job's time-out
        self._orthanc.put_peer(self._name, self._address, self._settings.username, self._settings.password())
        missing = set(shipment.new) - self._arrived(shipment.output)
        if missing:
            job = self._orthanc.send_to_peer(self._name, [i for i in shipment.new if i in missing])
            self._orthanc.await_job(job, seconds)

    def confirm(self, shipment: Shipment) -> int:
        """Compare the instances' ids: each is a hash that the peer made of patient, study, series and SOP Instance UID.

        Ours need not be in our Orthanc any more, and a SOP Instance UID that stands in two series counts twice.

        Raises
        ------
        Retriable
            Some of the instances are not there.
        """
        expected = set(shipment.all)
        there = self._arrived(shipment.output)
        if not expected <= there:
            raise Retriable(f"{len(expected & there)} of {len(expected)} instances are at the destination")
        return len(expected)

    def _arrived(self, output: str) -> set[str]:
        try:
            return set(self._peer.instance_ids(output))
        except NotFound:
            return set()
