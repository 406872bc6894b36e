"""The protocol of a destination."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Shipment:
    """De-identified instances, by Orthanc id, of one output study."""

    output: str
    new: Sequence[str]
    all: Sequence[str]


class Destination(Protocol):
    """A place where studies go. Every method raises Retriable when it is away, Rejected when it refuses."""

    def check(self) -> str:
        """Speak to it without sending anything; answer what it is."""

    def send(self, shipment: Shipment, seconds: float) -> None:
        """Send the new instances; a second time changes nothing there."""

    def confirm(self, shipment: Shipment) -> int:
        """Read back; answer how many of all instances have arrived."""
