"""Another Orthanc: sent by peer jobs of our Orthanc, confirmed by asking the other one directly."""

import time
from collections.abc import Sequence

from ...errors import NotFound, Rejected, Retriable
from ...orthanc_rest import Orthanc, peer_address
from ...settings import OrthancPeer
from ..base import Shipment
from . import arrivals, jobs
from .sop_instances import SopInstance, differing, expected, held, pieces

ACCELERATOR = "transfers"
MOST_BYTES_BY_HAND = 64 << 20


class OrthancPeerDestination:
    """A peer Orthanc, registered in ours under the destination's name."""

    def __init__(self, settings: OrthancPeer, orthanc: Orthanc) -> None:
        self._settings = settings
        self._orthanc = orthanc
        # A name of our own: a peer of the site's orthanc.json must not be replaced.
        self._name = f"deid-{settings.name}"

    def check(self) -> str:
        """Ask the peer for its version."""
        return f"Orthanc {self._peer().system()['Version']}"

    def send(self, shipment: Shipment) -> None:
        """Send what the peer does not hold, in pieces; the same a second time is overwritten or ignored there.

        What was de-identified anew is sent once more, for a peer that overwrites; by the files it is seen if one does.

        Raises
        ------
        Rejected
            The peer keeps what it has: only a person may delete that.
        """
        peer = self._peer()
        peer.system()  # a peer that is down is found in milliseconds, not at the job's time-out
        address, settings = peer.address, self._settings
        self._orthanc.put_peer(self._name, address, settings.username, settings.password())
        end = time.monotonic() + shipment.seconds
        jobs.await_earlier(shipment, self._orthanc)
        here = expected(self._orthanc, shipment.output, shipment.new)
        there = held(peer, shipment.output).keys()
        superseded = arrivals.is_superseded(shipment)
        old = differing(self._orthanc, peer, there & set(shipment.new)) if superseded else set()
        missing = set(shipment.new) - there | old
        waiting = [i for i in shipment.new if i in missing]
        for piece in pieces(waiting, here, settings.bytes_per_s):
            self._send(peer, shipment, piece, end)
            shipment.pace.sent(sum(i.size for i in piece))
        if superseded:
            arrivals.demand_replaced(shipment, differing(self._orthanc, peer, old))

    def confirm(self, shipment: Shipment) -> int:
        """Compare what the peer holds with what was to arrive, instance by instance.

        An Orthanc id is a hash that the peer itself made of patient, study, series and SOP Instance UID, so a
        SOP Instance UID of two series counts twice. The UIDs are compared as well where ours is still there.

        Raises
        ------
        Retriable
            Some of the instances are not there.
        """
        wanted = set(shipment.all)
        there = held(self._peer(), shipment.output)
        here = held(self._orthanc, shipment.output)
        arrived = {i for i in wanted & there.keys() if here.get(i, there[i]).SOPInstanceUID == there[i].SOPInstanceUID}
        if arrived != wanted:
            raise Retriable(f"{len(arrived)} of {len(wanted)} instances are at the destination")
        return len(arrived)

    def _peer(self) -> Orthanc:
        # Made when used: the password may have changed, and making a destination must not read files.
        return Orthanc(peer_address(self._settings))

    def _is_accelerated(self, peer: Orthanc) -> bool:
        if self._settings.accelerator == "never":
            return False
        return all(ACCELERATOR in orthanc.plugins() for orthanc in (self._orthanc, peer))

    def _send(self, peer: Orthanc, shipment: Shipment, piece: Sequence[SopInstance], end: float) -> None:
        ids = [i.instance for i in piece]
        if self._is_accelerated(peer) and self._send_accelerated(shipment, ids, end):
            return
        job = self._orthanc.send_to_peer(self._name, ids, compress=self._settings.compress)
        state = jobs.ended(shipment, self._orthanc, job, _left(end))
        if state["State"] == "Failure":
            self._explain(peer, shipment.output, piece)
            raise Retriable(f"Orthanc's job failed with code {state['ErrorCode']}")

    def _send_accelerated(self, shipment: Shipment, ids: Sequence[str], end: float) -> bool:
        try:
            job = self._orthanc.accelerate_to_peer(self._name, ids, compress=self._settings.compress)
        except (NotFound, Rejected):
            return False
        return bool(jobs.ended(shipment, self._orthanc, job, _left(end))["State"] == "Success")

    def _explain(self, peer: Orthanc, study: str, piece: Sequence[SopInstance]) -> None:
        """Send one instance of a failed piece ourselves: a job says no reason, the peer's own answer does."""
        there = peer.present(study)
        for instance in piece:
            if instance.instance not in there and instance.size <= MOST_BYTES_BY_HAND:
                peer.store(self._orthanc.file(instance.instance))
                return


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise Retriable("sending did not end in time: what has arrived is not sent again")
    return left
