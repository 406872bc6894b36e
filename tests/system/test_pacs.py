"""Studies fetched from archives by the product as a site runs it, and what of them may be seen in its logs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import dicomweb, made, pacs
from lying_dicomweb import LyingDicomweb
from lying_pacs import Lies, LyingPacs
from orthanc_deid.errors import DeidError
from orthanc_deid.pacs import connect
from orthanc_deid.pacs.base import Wanted
from shipments import client
from sites import Site
from studies import Person

BY_MOVE, BY_WEB = Person(31), Person(32)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Answer the product."""
    made_site = Site(tmp_path)
    yield made_site.start()
    made_site.kill()


def test_what_is_fetched_is_processed_and_no_identity_is_in_a_log(site: Site) -> None:
    orthanc = client(site.clinical)
    known = {"CLINICAL": ("127.0.0.1", site.clinical.dicom_port)}
    reasons = []
    with (
        LyingPacs([made(BY_MOVE, number=n) for n in range(1, 4)], known=known) as liar,
        LyingDicomweb([made(BY_WEB, number=n) for n in range(1, 4)]) as web,
    ):
        archive = connect(pacs(liar.port), orthanc)
        for archive_, person in ((archive, BY_MOVE), (connect(dicomweb(web.url), orthanc), BY_WEB)):
            [found] = archive_.find(Wanted("study", {"PatientID": person.PatientID, "PatientName": person.PatientName}))
            archive_.retrieve(found)
            [source] = orthanc.lookup(found.study_uid)
            assert len(site.arrived(site.await_status(source, "done")["output"])) == 3
        for lies in (Lies(finds=0xA900), Lies(abort_find=0), Lies(moves=0xC001), Lies(abort_move=1)):
            liar.lies = lies
            for act in (
                lambda: archive.find(Wanted("series", {"PatientName": BY_MOVE.PatientName, "SeriesNumber": "1"})),
                lambda: archive.retrieve(found),
            ):
                try:
                    act()
                except DeidError as error:
                    reasons.append(repr(error))
    assert len(reasons) >= 4
    logs = site.clinical.log() + "".join(f.read_text(errors="replace") for f in site.clinical.home.rglob("*.log"))
    ours = "\n".join(line for line in logs.splitlines() if line.startswith("{"))
    seen = ours + "".join(reasons)
    assert [m for m in (*BY_MOVE.markers, *BY_WEB.markers, found.study_uid) if m in seen] == []
