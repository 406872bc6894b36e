"""One CT study in two projects: two results that nothing joins, two ways out, one source that is kept for both."""

import io
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from orthanc_deid.database.studies import address_of
from servers import wait_for
from sites import Site
from studies import Person, ct_study

DEID = """
projects:
  - {{name: trial, match: {{modality: [CT]}}, also: [registry], destinations: [to-trial]}}
  - {{name: registry, match: {{patients: registry.csv}}, destinations: [to-registry], pseudonyms: {{kind: sequence}}}}
  - {{name: teaching, match: {{batch: [teaching]}}}}
destinations:
  - {{name: to-trial, kind: folder, path: {share}/trial, keep_free_bytes: 0}}
  - {{name: to-registry, kind: folder, path: {share}/registry, keep_free_bytes: 0}}
retention: {{sources: {{after_days: 0}}, look_s: 3600}}
limits: {{backoff_s: 0.2}}
intake: {{reconcile_s: 0.5}}
"""
STANDARD = "1.2.840.10008."
IDENTIFIERS = (
    "PatientID", "PatientName", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDate", "SeriesDate",
    "ContentDate", "AcquisitionDateTime",
)  # fmt: skip


class Pair:
    """A site whose CT studies go to two projects."""

    def __init__(self, site: Site, share: Path) -> None:
        self.site, self.share = site, share

    def both(self, source: str, status: str = "done", version: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait until a study is in a state in both projects."""
        addresses = (source, address_of(source, "registry"))
        first, second = (self.site.await_status(a, status, version=version) for a in addresses)
        return first, second

    def files(self, project: str, study: dict[str, Any]) -> list[bytes]:
        """Answer the files of a result at its destination."""
        told = self.site.clinical.get(f"/studies/{study['output']}").json()
        uid = told["MainDicomTags"]["StudyInstanceUID"]
        found = [path.read_bytes() for path in (self.share / project).rglob("*.dcm")]
        return [file for file in found if uid.encode() in file]

    def post(self, path: str, body: Any = None) -> Any:  # noqa: ANN401  # JSON
        answer = self.site.clinical.post(path, json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def deleted(self, source: str) -> list[str]:
        """Delete by the rules of retention what they name now, and answer what of a study."""
        return [item["what"] for item in self.post("/deid/retention")["items"] if item["study"] == source]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("projects")
    for name in ("trial", "registry"):
        (folder / "share" / name).mkdir(parents=True)
    site = Site(folder, deid=DEID.format(share=folder / "share").replace("{", "{{").replace("}", "}}"))
    # Known keys: of random ones two projects may have the same offset of dates, once in some thousand runs.
    (site.clinical.home / "key").write_text("5a" * 32)
    keys = site.clinical.home / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    for name, digits in (("trial", "01"), ("registry", "02")):
        (keys / f"project-{name}").write_text(digits * 32)
        (keys / f"project-{name}").chmod(0o600)
    try:
        yield Pair(site.start(), folder / "share")
    finally:
        site.kill()


def test_two_results_leave_by_two_ways_and_a_source_stays_until_both_have(pair: Pair) -> None:
    person = Person(1)
    source = pair.site.send(ct_study(person, 2))
    first, second = pair.both(source)
    assert (first["project"], first["belongs"]) == ("trial", "trial: match: modality")
    assert (second["project"], second["belongs"], second["source"]) == ("registry", "registry: also of trial", source)
    assert [(other["project"], other["address"]) for other in first["also"]] == [("registry", second["address"])]
    assert (first["destinations"], second["destinations"]) == (
        {"to-trial": "confirmed"}, {"to-registry": "confirmed"},
    )  # fmt: skip
    assert first["output"] != second["output"]
    assert [len(pair.files(*of)) for of in (("trial", first), ("registry", second))] == [2, 2]

    pair.post("/deid/destinations/to-registry/pause")
    pair.site.send(ct_study(person, 1, first=3))
    pair.site.await_status(source, "done", version=2)
    waiting = pair.site.await_status(second["address"], "exporting", version=2)
    assert waiting["instances"]["received"] == 3
    assert pair.deleted(source) == []
    assert pair.site.clinical.get(f"/studies/{source}").ok
    pair.post("/deid/destinations/to-registry/resume")
    first, second = pair.both(source, version=2)
    assert [len(pair.files(*of)) for of in (("trial", first), ("registry", second))] == [3, 3]
    for file in [*pair.files("trial", first), *pair.files("registry", second)]:
        assert not [marker for marker in person.markers if marker.encode() in file]

    wait_for(lambda: pair.deleted(source) == ["source"], 20, "nothing of it is to be looked at again")
    assert not pair.site.clinical.get(f"/studies/{source}").ok
    for study in (first, second):
        assert pair.site.clinical.get(f"/studies/{study['output']}").ok


def test_nothing_in_two_results_tells_that_they_are_of_one_study(pair: Pair) -> None:
    """What two results share is in the source and kept on purpose, or is in every result of this software."""
    sent = ct_study(Person(2), 2)
    first, second = pair.both(pair.site.send(sent))
    stranger, _ = pair.both(pair.site.send(ct_study(Person(3), 1)))
    of_first, of_second, of_stranger = (
        values(pair.files(project, study))
        for project, study in (("trial", first), ("registry", second), ("trial", stranger))
    )
    shared = (of_first & of_second) - of_stranger
    assert not shared - values(sent), "made by us, and the same in both"
    assert not {value for key, value in shared if key == "UI" and not value.startswith(STANDARD)}
    assert not {value for key, value in shared if key in (*IDENTIFIERS, "DA", "DT") and value}
    days = [{value for key, value in found if key == "StudyDate"} for found in (of_first, of_second)]
    assert all(days)
    assert len(set.union(*days)) == 2, "shifted by different days"

    digests = crosswalk(pair.site.clinical.home / "deid.sqlite")
    assert {"registry", "trial"} <= set(digests)
    assert all(digests.values())
    assert len(set.union(*digests.values())) == sum(map(len, digests.values())), "no digest stands in two projects"


def test_a_person_gives_a_study_to_one_more_project(pair: Pair) -> None:
    source = pair.site.send(ct_study(Person(4), 1))
    pair.both(source)
    made = pair.post(f"/deid/studies/{source}/process", {"project": "teaching"})
    assert (made["address"], made["project"]) == (address_of(source, "teaching"), "teaching")
    done = pair.site.await_status(made["address"], "done")
    assert sorted(other["project"] for other in done["also"]) == ["registry", "trial"]
    for body in ({"project": "nobody's"}, {"projekt": "teaching"}):
        assert pair.site.clinical.post(f"/deid/studies/{source}/process", json=body, timeout=30).status_code == 422


def values(files: list[bytes]) -> set[tuple[str, str]]:
    """Answer every value of files but pixels, by keyword and by VR, those of items and of the file meta too."""
    assert files
    found: set[tuple[str, str]] = set()
    for file in files:
        ds = pydicom.dcmread(io.BytesIO(file))
        found |= _values(ds) | _values(Dataset(ds.file_meta))
    return found


def _values(ds: Dataset) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for elem in ds:
        if elem.VR == "SQ":
            for item in elem.value:
                found |= _values(item)
        elif elem.keyword != "PixelData":
            several = elem.value if elem.VM > 1 else [elem.value]
            found |= {(name, str(value)) for value in several for name in (elem.keyword or str(elem.tag), elem.VR)}
    return found


def crosswalk(database: Path) -> dict[str, set[bytes]]:
    """Map each project to all digests that it keeps."""
    rows = "SELECT p.name, c.original, c.replaced FROM crosswalk c JOIN crosswalk_project p ON p.id = c.project_id"
    found: dict[str, set[bytes]] = {}
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        for name, original, replaced in connection.execute(rows):
            found.setdefault(name, set()).update((original, replaced))
    finally:
        connection.close()
    return found
