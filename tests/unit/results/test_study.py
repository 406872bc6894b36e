"""Conversions of a study that a real Orthanc holds."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import pytest
from pydicom import Dataset

from made_volumes import SLICES, ct
from objects import ROOT, written
from orthanc_deid.errors import NotFound, Rejected, Retriable
from orthanc_deid.formats.labels import NONE, Labels
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.processes import Processes
from orthanc_deid.results.study import Converters, StudyResults
from orthanc_deid.settings.conversion import Conversion
from servers import OrthancServer
from shipments import client

SHIPPED = Path(__file__).resolve().parents[3] / "orthanc-config" / "bids"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with OrthancServer(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    made = Processes(2)
    yield made
    made.close()


@dataclass
class Study:
    """A study of one series of slices, and what makes conversions of it."""

    orthanc: Orthanc
    folder: Path
    processes: Processes
    number: int
    output: str = ""
    instances: list[str] = field(default_factory=list)
    before: Callable[[], object] = lambda: None  # done when the processes are asked for

    def add(self, *places: int, value: int = 0) -> None:
        for at in places:
            instance = self.orthanc.store(written(self._slice(at, value)))
            if instance not in self.instances:
                self.instances.append(instance)
        self.output = self.orthanc.get(f"/instances/{self.instances[0]}/study")["ID"]

    def _slice(self, at: int, value: int) -> Dataset:
        ds = ct(at)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{self.number}", f"{ROOT}.{self.number}.1"
        ds.SOPInstanceUID, ds.SeriesDescription = f"{ROOT}.{self.number}.1.{at + 1}", "head"
        if value:
            ds.PixelData = bytes([value]) * len(ds.PixelData)
        return ds

    def results(self, labels: Labels = NONE, etl: str | None = None) -> StudyResults:
        converters = Converters(self.folder, Conversion(etl=etl), (SHIPPED,), self.orthanc, self._pool)
        return StudyResults(converters, self.number, self.output, "default", self.instances, lambda _: labels)

    def _pool(self) -> Processes:
        self.before()
        return self.processes

    def made(self) -> dict[str, int]:
        """Answer the conversions on disk with the inode of each."""
        return {path.name: path.stat().st_ino for path in (self.folder / str(self.number)).iterdir()}


_numbers = iter(range(100, 1000))


@pytest.fixture
def study(server: OrthancServer, processes: Processes, tmp_path: Path) -> Study:
    made = Study(client(server), tmp_path / "results", processes, next(_numbers))
    made.add(*range(SLICES))
    return made


def test_a_second_time_nothing_is_converted(study: Study) -> None:
    (first,) = study.results().nifti()
    made = study.made()
    study.before = lambda: pytest.fail("converted again")
    (second,) = study.results().nifti()
    assert second == first
    assert study.made() == made
    assert {path.suffix for path in first.files} == {".gz", ".json"}


def test_a_late_instance_makes_a_new_conversion_and_the_old_one_is_not_given(study: Study) -> None:
    (first,) = study.results().nifti()
    study.add(SLICES)
    (second,) = study.results().nifti()
    assert {path.parent for path in first.files}.isdisjoint({path.parent for path in second.files})
    assert len(study.made()) == 2


def test_instances_that_are_not_verified_are_in_no_conversion(study: Study) -> None:
    (first,) = study.results().nifti()
    study.add(SLICES)
    late = study.instances.pop()
    assert study.results().nifti() == [first]
    assert not study.results().allows(late)


def test_other_content_under_the_same_id_is_converted_anew(study: Study) -> None:
    (first,) = study.results().nifti()
    study.orthanc.delete("instances", study.instances[2])
    study.add(2, value=7)
    (second,) = study.results().nifti()
    assert first.files[0].parent != second.files[0].parent


def test_content_that_changes_while_it_is_converted_is_not_kept(study: Study) -> None:
    def change() -> None:
        study.orthanc.delete("instances", study.instances[2])
        study.add(2, value=7)

    study.before = change
    with pytest.raises(Retriable, match="changed while it was converted"):
        study.results().nifti()
    assert study.made() == {}


@pytest.mark.parametrize(
    "ask",
    [
        StudyResults.nifti, StudyResults.bids, StudyResults.dicomdir, StudyResults.contact_sheets,
        lambda results: results.pictures("png"),
    ],
)  # fmt: skip
def test_a_study_of_which_slices_are_gone_is_not_converted_in_part(
    study: Study, ask: Callable[[StudyResults], object]
) -> None:
    study.orthanc.delete("instances", study.instances[2])
    with pytest.raises(Rejected, match=f"1 of {SLICES} instances of the result are no longer in this Orthanc"):
        ask(study.results())


def test_a_study_that_is_gone_is_not_found(study: Study) -> None:
    study.orthanc.delete("studies", study.output)
    with pytest.raises(NotFound):
        study.results().nifti()


def test_what_is_no_volume_is_refused_with_its_reason_and_not_tried_again(study: Study) -> None:
    for instance in study.instances[2:]:
        study.orthanc.delete("instances", instance)
    del study.instances[2:]
    for _ in range(2):
        results = study.results()
        assert results.nifti() == []
        assert len(results.refused) == 1
        with pytest.raises(Rejected, match=r"\(1 series\)"):
            results.archive("nifti")
        study.before = lambda: pytest.fail("tried again")


def test_threads_that_ask_at_once_get_one_result(study: Study) -> None:
    gate = threading.Barrier(3)
    study.before = lambda: gate.wait(20)
    with ThreadPoolExecutor(3) as pool:
        answers = [each.result(60) for each in [pool.submit(study.results().nifti) for _ in range(3)]]
    assert answers[0] == answers[1] == answers[2]
    assert len(study.made()) == 1


def test_every_kind_of_archive_holds_files_and_is_made_once(study: Study) -> None:
    for kind, some in {
        "nifti": ".nii.gz", "bids": "dataset_description.json", "dicomdir": "DICOMDIR", "png": ".png", "sheet": ".png",
    }.items():  # fmt: skip
        path = study.results().archive(kind)
        with ZipFile(path) as archive:
            assert archive.testzip() is None
            assert [name for name in archive.namelist() if name.endswith(some)], kind
        content = path.read_bytes()
        assert study.results().archive(kind) == path
        assert path.read_bytes() == content


def test_no_temporary_folder_stays(study: Study) -> None:
    study.results().archive("bids")
    study.results().archive("dicomdir")
    assert [name for name in study.made() if name.startswith(".")] == []
    assert list(study.folder.rglob(".dicom-*")) == []


def test_trees_are_named_by_labels_and_another_label_gives_another_tree(study: Study) -> None:
    given = [Labels("C100", "1234d_B_brain"), Labels("C100", "1235d_B_brain")]
    bids = [tree(study.results(labels).bids()) for labels in given]
    etl = [tree(study.results(labels, etl="cbtn").etl()) for labels in given]
    for made, number in ((bids, ("1234d", "1235d")), (etl, ("1234d_B_brain", "1235d_B_brain"))):
        assert all(number[0] in each for each in made[0])
        assert all(number[1] in each for each in made[1])
        assert all("C100" in each for each in made[0] + made[1])
    assert all("C100" not in each for each in tree(study.results().bids()))


def tree(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.nii.gz")]
