"""Conversions through Orthanc's own address and by command: right, whole, once, of verified results alone."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import nibabel
import pytest
import requests
from PIL import Image

from planting import left
from servers import CHECKOUT, children, is_running, wait_for
from sites import Site
from studies import Person, ct_study

DEID = """
projects:
  - name: default
intake: {{reconcile_s: 1}}
"""
UNKNOWN = "0" * 8 + 4 * ("-" + "0" * 8)
SLICES = 4


class Rooms:
    """A site that keeps its results, and what people ask of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.results = site.clinical.home / "results"
        self._people = count(1)

    def person(self) -> Person:
        return Person(next(self._people))

    def study(self, number: int = SLICES, person: Person | None = None, first: int = 1) -> dict[str, Any]:
        """Have a study de-identified."""
        source = self.site.send(ct_study(person or self.person(), number, first=first))
        self.site.clinical.post(f"/deid/studies/{source}/process")
        return self.site.await_status(source, "done", version=2 if first > 1 else 1)

    def get(self, path: str, **query: Any) -> requests.Response:  # noqa: ANN401  # values of a query
        return self.site.clinical.get(f"/deid/{path}", params=query, timeout=90)

    def series(self, study: dict[str, Any]) -> str:
        return str(self.site.clinical.get(f"/studies/{study['output']}/series").json()[0]["ID"])

    def instance(self, study: dict[str, Any]) -> str:
        return str(self.site.clinical.get(f"/studies/{study['output']}/instances").json()[0]["ID"])

    def made(self, study: dict[str, Any], kind: str) -> dict[str, tuple[int, float]]:
        """Answer the conversions of one kind that are on disk, each with inode and time of its content."""
        found = (self.results / str(study["id"])).glob(f"{kind}-{24 * '[0-9a-f]'}")
        return {path.name: (path.stat().st_ino, (path / "about.json").stat().st_mtime) for path in found}

    def commands(self, *words: str) -> list[str]:
        password = self.site.clinical.home / "admin-password"
        server = ["--url", self.site.clinical.url, "--password-file", str(password)]
        return [sys.executable, "-m", "orthanc_deid", *server, *words]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    site = Site(tmp_path_factory.mktemp("rooms"), deid=DEID)
    try:
        yield Rooms(site.start())
    finally:
        site.kill()


@pytest.fixture(scope="module")
def study(rooms: Rooms) -> dict[str, Any]:
    return rooms.study()


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def volume(content: bytes) -> Any:  # noqa: ANN401  # nibabel has no types
    found = entries(content)
    (name,) = (name for name in found if name.endswith(".nii.gz"))
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(found[name]))


def test_the_volume_of_a_study_comes_with_its_side_car(rooms: Rooms, study: dict[str, Any]) -> None:
    answer = rooms.get(f"studies/{study['output']}/nifti")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    pseudonym = rooms.site.clinical.get(f"/studies/{study['output']}").json()["PatientMainDicomTags"]["PatientID"]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{pseudonym}_nifti.zip"'
    assert answer.headers["X-Deid-Size"] == str(len(answer.content))
    assert volume(answer.content).shape == (32, 32, SLICES)
    assert sorted(Path(name).suffix for name in entries(answer.content)) == [".gz", ".json"]
    one = rooms.get(f"series/{rooms.series(study)}/nifti")
    assert entries(one.content) == entries(answer.content)


def test_every_other_conversion_comes_too(rooms: Rooms, study: dict[str, Any]) -> None:
    bids = entries(rooms.get(f"studies/{study['output']}/bids").content)
    assert any(name.endswith("dataset_description.json") for name in bids)
    media = entries(rooms.get(f"studies/{study['output']}/dicomdir").content)
    assert "DICOMDIR" in media
    assert len(media) == 1 + SLICES
    pictures = entries(rooms.get(f"series/{rooms.series(study)}/png").content)
    assert len(pictures) == SLICES
    for path in (f"instances/{rooms.instance(study)}/png", f"series/{rooms.series(study)}/contact-sheet"):
        answer = rooms.get(path)
        assert answer.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    answer = rooms.get(f"instances/{rooms.instance(study)}/jpeg")
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"


def test_parts_make_the_whole(rooms: Rooms, study: dict[str, Any]) -> None:
    for path in (f"studies/{study['output']}/nifti", f"instances/{rooms.instance(study)}/png"):
        whole = rooms.get(path)
        size = len(whole.content)
        step = size // 3 + 1
        parts = [rooms.get(path, offset=at, count=step) for at in range(0, size + step, step)]
        assert b"".join(part.content for part in parts) == whole.content
        assert parts[-1].content == b""
        assert {part.headers["ETag"] for part in parts} == {whole.headers["ETag"]}


@pytest.mark.parametrize("kind", ["nifti", "bids", "dicomdir"])
def test_the_identified_study_is_refused(rooms: Rooms, study: dict[str, Any], kind: str) -> None:
    answer = rooms.get(f"studies/{study['source']}/{kind}")
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("not a de-identified and verified resource")


def test_identified_series_and_instances_are_refused_and_unknown_ones_not_found(
    rooms: Rooms, study: dict[str, Any]
) -> None:
    source = rooms.site.clinical.get(f"/studies/{study['source']}/instances").json()[0]
    for path in (f"series/{source['ParentSeries']}/nifti", f"instances/{source['ID']}/png"):
        assert rooms.get(path).status_code == 403
    for path in (f"studies/{UNKNOWN}/nifti", f"series/{UNKNOWN}/contact-sheet", f"instances/{UNKNOWN}/jpeg"):
        assert rooms.get(path).status_code == 404


def test_what_is_no_volume_is_refused_with_its_reason(rooms: Rooms) -> None:
    study = rooms.study(2)
    answer = rooms.get(f"studies/{study['output']}/nifti")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "fewer than 3 slices (1 series)"


def test_a_second_time_nothing_is_converted(rooms: Rooms, study: dict[str, Any]) -> None:
    path = f"studies/{study['output']}/nifti"
    first = rooms.get(path)
    made = rooms.made(study, "nifti")
    again = rooms.get(path)
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert rooms.made(study, "nifti") == made


def test_a_late_instance_makes_a_new_conversion(rooms: Rooms) -> None:
    person = rooms.person()
    first = rooms.study(3, person)
    before = rooms.get(f"studies/{first['output']}/nifti")
    second = rooms.study(2, person, first=4)
    after = rooms.get(f"studies/{second['output']}/nifti")
    assert (volume(before.content).shape[2], volume(after.content).shape[2]) == (3, 5)
    assert before.headers["ETag"] != after.headers["ETag"]


def service(rooms: Rooms) -> int:
    running = children(rooms.site.clinical.pid)
    return next(pid for pid in running if b"orthanc_deid.service" in Path(f"/proc/{pid}/cmdline").read_bytes())


def converters(rooms: Rooms) -> list[int]:
    """Answer the processes in which the service converts."""
    direct = [int(word) for word in Path(f"/proc/{service(rooms)}/task/{service(rooms)}/children").read_text().split()]
    tops = [pid for pid in children(service(rooms)) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    workers = {child for pid in direct if _is_worker(pid) for child in children(pid)}
    return [pid for pid in tops if pid not in workers]


def _is_worker(pid: int) -> bool:
    return b"orthanc_deid.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()


@contextmanager
def held_up(rooms: Rooms, study: dict[str, Any]) -> Iterator[None]:
    """Stop the processes that convert, as a very large study would; `study` is one to wake them with."""
    rooms.get(f"series/{rooms.series(study)}/png")
    stopped = converters(rooms)
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in filter(is_running, stopped):
            os.kill(pid, signal.SIGCONT)


def test_who_asks_while_it_is_converted_waits_or_comes_again_and_it_is_made_once(rooms: Rooms) -> None:
    study = rooms.study()
    path = f"studies/{study['output']}/nifti"
    with ThreadPoolExecutor(8) as pool:
        with held_up(rooms, rooms.study()):
            waiting = [pool.submit(rooms.get, path) for _ in range(8)]
            wait_for(lambda: list(rooms.results.glob(f"{study['id']}/.new-*")), what="it is being converted")
            wait_for(lambda: rooms.get(path).status_code == 202, 10, "who comes late is asked to come again")
            assert rooms.get(path).headers["Retry-After"] == "2"
        answers = [each.result(90) for each in waiting]
    assert {answer.status_code for answer in answers} <= {200, 202}
    last = rooms.get(path)
    # On a busy machine all of them may be asked to come again.
    assert {answer.content for answer in answers if answer.status_code == 200} <= {last.content}
    assert len(rooms.made(study, "nifti")) == 1
    assert len(rooms.made(study, "nifti-zip")) == 1


def test_a_service_killed_while_it_converts_leaves_no_half_result(rooms: Rooms) -> None:
    study = rooms.study()
    path = f"studies/{study['output']}/nifti"
    killed = service(rooms)
    with ThreadPoolExecutor(1) as pool, held_up(rooms, rooms.study()):
        asked = pool.submit(rooms.get, path)
        wait_for(lambda: list(rooms.results.glob(f"{study['id']}/.new-*")), what="it is being converted")
        os.kill(killed, signal.SIGKILL)
        assert asked.result(60).status_code in (502, 503)
    wait_for(lambda: rooms.get("health").ok and service(rooms) != killed, 60, "the service is back")
    assert rooms.made(study, "nifti") == {}
    answer = rooms.get(path)
    assert volume(answer.content).shape == (32, 32, SLICES)
    left_over = list(rooms.results.glob(f"{study['id']}/.new-*"))
    assert left_over
    for folder in left_over:
        os.utime(folder, (0, 0))
    rooms.site.clinical.post("/deid/retention")
    assert list(rooms.results.glob(f"{study['id']}/.new-*")) == []
    assert rooms.get(path).content == answer.content


def run(rooms: Rooms, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        rooms.commands(*words), env=os.environ | {"PYTHONPATH": str(CHECKOUT / "plugin")},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_each_command_writes_the_file_that_the_route_gives(rooms: Rooms, study: dict[str, Any], tmp_path: Path) -> None:
    levels = {
        "nifti": ("studies", study["output"]), "bids": ("studies", study["output"]),
        "dicomdir": ("studies", study["output"]), "png": ("instances", rooms.instance(study)),
        "jpeg": ("instances", rooms.instance(study)), "contact-sheet": ("series", rooms.series(study)),
    }  # fmt: skip
    for command, (level, resource) in levels.items():
        out = tmp_path / command
        done = run(rooms, "--json", command, str(resource), "--out", str(out))
        assert done.returncode == 0, done.stderr
        content = rooms.get(f"{level}/{resource}/{command}").content
        assert out.read_bytes() == content
        assert json.loads(done.stdout) == {"file": str(out), "bytes": len(content)}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(levels)


def test_a_command_that_is_refused_or_interrupted_leaves_no_file(
    rooms: Rooms, study: dict[str, Any], tmp_path: Path
) -> None:
    done = run(rooms, "nifti", str(study["source"]), "--out", str(tmp_path / "a.zip"))
    assert done.returncode == 1
    assert "not a de-identified and verified resource" in done.stderr
    fresh = rooms.study()
    with held_up(rooms, study):
        command = rooms.commands("nifti", str(fresh["output"]), "--out", str(tmp_path / "b.zip"))
        pipe = subprocess.PIPE
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "plugin")}
        asked = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
        wait_for(lambda: list(tmp_path.iterdir()), what="it has begun")
        asked.send_signal(signal.SIGINT)
        _, told = asked.communicate(timeout=20)
    assert asked.returncode in (1, 130)
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_no_marker_is_in_any_conversion_header_file_or_log(rooms: Rooms) -> None:
    person = rooms.person()
    study = rooms.study(SLICES, person)
    series, instance = rooms.series(study), rooms.instance(study)
    paths = [f"studies/{study['output']}/{kind}" for kind in ("nifti", "bids", "dicomdir")]
    paths += [f"series/{series}/{kind}" for kind in ("png", "contact-sheet", "nifti")]
    paths += [f"instances/{instance}/png", f"instances/{instance}/jpeg"]
    found: dict[str, bytes] = {}
    for path in paths:
        answer = rooms.get(path)
        assert answer.status_code == 200, path
        found[path] = answer.content + str(answer.headers).encode()
        if answer.headers["Content-Type"] == "application/zip":
            for name, content in entries(answer.content).items():
                found[f"{path} {name}"] = name.encode() + content
                found[f"{path} {name} unpacked"] = gzip.decompress(content) if name.endswith(".gz") else b""
        if answer.headers["Content-Type"] == "image/png":
            found[f"{path} texts"] = str(Image.open(io.BytesIO(answer.content)).info).encode()
    for file in rooms.results.rglob("*"):
        found[f"disk {file}"] = str(file).encode() + (file.read_bytes() if file.is_file() else b"")
    found["log"] = rooms.site.clinical.log().encode()
    found["refusal"] = rooms.get(f"studies/{study['source']}/nifti").content
    assert len(found) > 40
    markers = {where: left(content, person.markers) for where, content in found.items()}
    assert {where: words for where, words in markers.items() if words} == {}


def test_a_frame_is_named_from_1_and_one_that_is_not_there_is_refused(rooms: Rooms, study: dict[str, Any]) -> None:
    instance = rooms.instance(study)
    whole = rooms.get(f"instances/{instance}/png")
    assert rooms.get(f"instances/{instance}/png", frame=1).content == whole.content
    refused = rooms.get(f"instances/{instance}/png", frame=2)
    assert refused.status_code == 422
    assert "frame" in refused.json()["detail"]
    assert rooms.get(f"instances/{instance}/png", frame=0).json()["field"] == "query.frame"
