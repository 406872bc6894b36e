"""Our own disk is full: every kind that makes files of its own says so, shows no path, and keeps what was sent."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from http_cases import RAW
from http_cases import destination as http
from orthanc_deid.destinations.base import Destination, Shipment
from orthanc_deid.destinations.dicom.dicomweb import DicomwebDestination
from orthanc_deid.destinations.dicom.karnak import KarnakDestination
from orthanc_deid.destinations.files.folder import FolderDestination
from orthanc_deid.destinations.work import local_disk
from orthanc_deid.errors import NotFound, Rejected, Retriable
from orthanc_deid.settings.files import Folder
from orthanc_deid.settings.network import Dicomweb, Karnak
from servers import OrthancServer
from shipments import make_shipment
from studies import Person, ct_study

NOWHERE = "http://127.0.0.1:9/"
FULL = r"^the disk of our temporary folder is full$"
NODE = {"ae": "A", "host": "127.0.0.1", "port": 9}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc with a study of one instance."""
    server = OrthancServer(tmp_path_factory.mktemp("orthanc")).start()
    for file in ct_study(Person(), 1):
        server.upload(file).raise_for_status()
    yield server
    server.kill()


def dicomweb(shipment: Shipment, _: Path) -> Destination:
    values = {"kind": "dicomweb", "name": "a", "url": NOWHERE, "sent_by": "worker", "ask_first": False}
    return DicomwebDestination(Dicomweb.model_validate(values), shipment.orthanc)


def karnak(shipment: Shipment, _: Path) -> Destination:
    return KarnakDestination(Karnak.model_validate({"kind": "karnak", "name": "a", "dicom": NODE}), shipment.orthanc)


def folder(shipment: Shipment, out: Path) -> Destination:
    values = {"kind": "folder", "name": "a", "path": out, "keep_free_bytes": 0}
    return FolderDestination(Folder.model_validate(values, strict=False), shipment.orthanc)


def raw(_: Shipment, __: Path) -> Destination:
    return http(NOWHERE, RAW)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (dicomweb, "stow-0.dcm"),
        (karnak, "karnak-source.dcm"),
        (karnak, "karnak-0.dcm"),
        (folder, "instance.dcm"),
        (raw, ""),
    ],
)
def test_a_full_disk_of_ours_is_told(
    orthanc: OrthancServer, tmp_path: Path, make: Callable[[Shipment, Path], Destination], name: str
) -> None:
    shipment = make_shipment(tmp_path, orthanc, orthanc.studies()[0])
    name = name or hashlib.sha256(shipment.all[0].encode()).hexdigest()[:32] + ".dcm"
    (shipment.work / name).symlink_to("/dev/full")
    with pytest.raises(Retriable, match=FULL) as caught:
        make(shipment, tmp_path).send(shipment)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            PermissionError(13, "no", "/home/Zyxwvut"),
            Retriable,
            "our temporary folder cannot be used (PermissionError)",
        ),
        (NotFound("Zyxwvut"), Retriable, "an instance left Orthanc while it was sent"),
        (Rejected("as it is"), Rejected, "as it is"),
        (KeyError("as it is"), KeyError, "'as it is'"),
    ],
)
def test_a_fault_of_the_folder_is_told_and_no_other(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught, local_disk():
        raise error
    assert str(caught.value) == words


def test_a_full_disk_of_ours_is_told_of_a_zip(orthanc: OrthancServer, tmp_path: Path) -> None:
    pytest.importorskip("flywheel")
    from orthanc_deid.destinations.flywheel import contents

    shipment = make_shipment(tmp_path, orthanc, orthanc.studies()[0])
    (instance,) = shipment.all
    series = contents.Series("", "1.2", "label", "CT", "", (instance,), is_new=True)
    (tmp_path / instance).symlink_to("/dev/full")
    with pytest.raises(Retriable, match=FULL):
        contents.make_zip(shipment, contents.Item("key", "name", series, None, "content"), tmp_path)
