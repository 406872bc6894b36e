"""Karnak and Kheops: instances with a private block of pseudonym, album and day shift, by C-STORE or STOW-RS."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import Retriable
from ...orthanc_rest import Orthanc
from ...settings.network import Karnak
from ..base import Receipt, Shipment
from ..work import local_disk
from . import arrivals, dicomweb_client, dimse, inquiry, karnak_tags, modality, storescu
from .dicomweb_client import DicomwebClient
from .dimse import Refusal
from .modality import Modality
from .sop_instances import SopInstance, expected, pieces

AT_ONCE = 10  # instances in one piece


class KarnakDestination:
    """A gateway that the worker sends marked copies to; the outputs in our Orthanc stay as they are."""

    def __init__(self, settings: Karnak, orthanc: Orthanc) -> None:
        self._settings = settings
        self._client = DicomwebClient(settings.dicomweb) if settings.dicomweb else None
        self._node = Modality(orthanc, settings.name, settings.dicom) if settings.dicom else None

    def check(self) -> str:
        """C-ECHO, or a question for one study: a gateway that takes STOW-RS only says so and is there as well."""
        if self._settings.dicom:
            storescu.echo(self._settings.dicom)
            return "answers C-ECHO"
        assert self._client  # noqa: S101  # by the settings
        try:
            self._client.check()
        except dicomweb_client.CannotBeAskedError as error:
            if self._settings.confirm == "find":
                raise Retriable(f"the DICOMweb server does not answer QIDO-RS ({error})") from None
            return "answers, without QIDO-RS"
        return "answers QIDO-RS"

    def send(self, shipment: Shipment) -> None:
        """Send what it has not accepted yet, each instance with its receipt."""
        here = expected(shipment.orthanc, shipment.output, shipment.new)
        arrivals.forget_superseded(shipment)
        there = arrivals.known(shipment, shipment.new)
        waiting = [i for i in shipment.new if i not in there]
        study = str(shipment.facts()["MainDicomTags"]["StudyInstanceUID"])
        end = time.monotonic() + shipment.seconds
        refused: Counter[Refusal] = Counter()
        for piece in pieces(waiting, here, self._settings.bytes_per_s, AT_ONCE):
            left = end - time.monotonic()
            if left <= 0:
                raise Retriable("sending did not end in time: what was accepted is not sent again")
            refused += self._send(study, piece, shipment, left)
            shipment.pace.sent(sum(i.size for i in piece))
        problem = dimse.verdict(refused, len(shipment.new))
        if problem:
            raise problem

    def confirm(self, shipment: Shipment) -> int:
        """Count receipts; where the settings say that the far side can be asked, ask it as well."""
        arrivals.require(shipment, arrivals.known(shipment, shipment.all))
        if self._settings.confirm == "find":
            here = expected(shipment.orthanc, shipment.output, shipment.all)
            study = str(shipment.facts()["MainDicomTags"]["StudyInstanceUID"])
            found = self._found(study, list(here.values()))
            arrivals.require(shipment, {i.instance for i in here.values() if i.SOPInstanceUID in found})
        return len(shipment.all)

    def _found(self, study: str, here: Sequence[SopInstance]) -> set[str]:
        try:
            if self._client:
                return self._client.instances(study, [i.SOPInstanceUID for i in here])
            assert self._node  # noqa: S101  # by the settings
            self._node.register()
            return inquiry.instances(self._node, study, here)
        except (dicomweb_client.CannotBeAskedError, modality.CannotBeAskedError) as error:
            raise Retriable(f"it cannot be asked what it holds ({error}): set confirm to status") from None

    def _send(self, study: str, piece: Sequence[SopInstance], shipment: Shipment, seconds: float) -> Counter[Refusal]:
        files = {i.instance: shipment.work / f"karnak-{n}.dcm" for n, i in enumerate(piece)}
        receipts = {i.instance: self._marked(i, files[i.instance], shipment) for i in piece}
        try:
            answers = self._stored(files, seconds) if self._settings.dicom else self._stowed(study, piece, files)
        except storescu.Interrupted as error:
            _note(shipment, {i: receipts[i] for i, file in files.items() if file in error.taken})
            raise Retriable(str(error)) from None
        _note(shipment, {i: receipts[i] for i, refusal in answers.items() if refusal is None})
        return Counter(refusal for refusal in answers.values() if refusal)

    def _marked(self, instance: SopInstance, target: Path, shipment: Shipment) -> Receipt:
        source = shipment.work / "karnak-source.dcm"
        settings = self._settings
        album = shipment.album or settings.album
        with local_disk():
            shipment.orthanc.save(instance.instance, source)
            made = karnak_tags.mark(source, target, settings.pseudonym, album, settings.day_shift)
        return replace(made, remote=instance.file)

    def _stored(self, files: Mapping[str, Path], seconds: float) -> dict[str, Refusal | None]:
        assert self._settings.dicom  # noqa: S101  # by the caller
        paths = list(files.values())
        answers = storescu.store(self._settings.dicom, paths, karnak_tags.combinations(paths), seconds)
        return {instance: answers[file] for instance, file in files.items()}

    def _stowed(self, study: str, piece: Sequence[SopInstance], files: Mapping[str, Path]) -> dict[str, Refusal | None]:
        assert self._client  # noqa: S101  # by the caller
        reasons = self._client.store(study, [(i.SOPInstanceUID, files[i.instance]) for i in piece])
        refused = {uid: reason for uid, reason in reasons.items() if not reason.duplicate}
        return {i.instance: refused.get(i.SOPInstanceUID) for i in piece}


def _note(shipment: Shipment, receipts: Mapping[str, Receipt]) -> None:
    for instance, receipt in receipts.items():
        shipment.journal.put(instance, receipt)
