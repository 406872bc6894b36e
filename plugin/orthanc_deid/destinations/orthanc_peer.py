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

    def send(self, shipment: Shipment) -> None:
        """Send as an asynchronous job; the same instances a second time are overwritten or ignored there."""
        self._peer.system()  # a peer that is down is found in milliseconds, not at the job's time-out
        self._orthanc.put_peer(self._name, self._address, self._settings.username, self._settings.password())
        missing = set(shipment.new) - _sop_uids(self._peer, shipment.output).keys()
        if missing:
            job = self._orthanc.send_to_peer(self._name, [i for i in shipment.new if i in missing])
            self._orthanc.await_job(job, shipment.seconds)

    def confirm(self, shipment: Shipment) -> int:
        """Compare what the peer holds with what was to arrive, instance by instance.

        An Orthanc id is a hash that the peer itself made of patient, study, series and SOP Instance UID, so a
        SOP Instance UID of two series counts twice. The UIDs are compared as well where ours is still there.

        Raises
        ------
        Retriable
            Some of the instances are not there.
        """
        expected = set(shipment.all)
        there = _sop_uids(self._peer, shipment.output)
        here = _sop_uids(self._orthanc, shipment.output)
        arrived = {i for i in expected & there.keys() if here.get(i, there[i]) == there[i]}
        if arrived != expected:
            raise Retriable(f"{len(arrived)} of {len(expected)} instances are at the destination")
        return len(arrived)


def _sop_uids(orthanc: Orthanc, study: str) -> dict[str, str]:
    """Map the Orthanc ids of a study's instances to their SOPInstanceUIDs; empty where the study is not there."""
    try:
        return {i["ID"]: i["MainDicomTags"]["SOPInstanceUID"] for i in orthanc.instances(study)}
    except NotFound:
        return {}
