"""Prefixes of object stores as sources: S3, Azure, Google Cloud Storage, SFTP, each against a real server."""

import io
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collecting import new_tools
from object_servers import Azurite, GcsEmulator, Moto, RcloneSftp, Server
from orthanc_deid.collect.base import Tools
from orthanc_deid.collect.prefix import Prefix, check
from orthanc_deid.errors import ConfigurationError, DeidError, Retriable
from orthanc_deid.settings.sources import PrefixSource
from orthanc_deid.stores import s3
from servers import OrthancServer
from studies import Person, ct_instance, ct_study

KINDS: dict[str, type[Server]] = {"moto": Moto, "azurite": Azurite, "gcs": GcsEmulator, "sftp": RcloneSftp}
PERSONS = iter(range(200_000, 209_000))
NAME = "bucket"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer an Orthanc without plugin."""
    with OrthancServer(tmp_path_factory.mktemp("orthanc")) as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Answer each server, running, with a bucket."""
    made = KINDS[request.param](tmp_path_factory.mktemp(request.param) / "server")
    made.start()
    try:
        made.make_bucket()
        yield made
    finally:
        made.kill()


class Bucket:
    """A prefix of its own on a server, with its collector."""

    def __init__(self, server: Server, orthanc: OrthancServer, folder: Path, **more: Any) -> None:  # noqa: ANN401
        settings = server.settings()
        base = f"inbox{next(PERSONS)}"
        url = f"{settings['url']}/{base}"
        self.server = server
        # The keys of a test server begin with the prefix of its settings, those of SFTP below its folder.
        self.prefix = f"{base}/" if isinstance(server, RcloneSftp) else f"{url.split('/', 3)[3]}/"
        chosen = {"name": NAME, "kind": "object-store", "settle_s": 0.0, **settings, "url": url, **more}
        self.settings = PrefixSource(**chosen)
        self.tools: Tools = new_tools(orthanc, folder / "home")
        self.collector = Prefix(self.settings, self.tools)
        if isinstance(server, RcloneSftp):
            (server.folder / "served" / "incoming" / base).mkdir()

    def put(self, key: str, content: bytes) -> None:
        if isinstance(self.server, RcloneSftp):
            (self.server.folder / "served" / "incoming" / self.prefix / key).parent.mkdir(parents=True, exist_ok=True)
        self.server.replace(self.prefix + key, content)

    def look(self) -> None:
        for _ in range(20):
            if not self.collector.look():
                return
        raise AssertionError("it takes something again and again")

    def tree(self) -> dict[str, bytes]:
        today = f"/{datetime.now(UTC).date()}"
        return {
            key.removeprefix(self.prefix).replace(today, ""): data
            for key, data in self.server.held(self.prefix).items()
        }


def person() -> Person:
    return Person(next(PERSONS))


def stored(orthanc: OrthancServer, who: Person) -> int:
    query = {"Level": "Instance", "Query": {"PatientID": who.PatientID}}
    return len(orthanc.post("/tools/find", json=query).json())


def test_objects_are_taken_and_put_into_their_places(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    bucket, who = Bucket(server, orthanc, tmp_path), person()
    one, two, three = ct_study(who, 3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", two)
    bucket.put("a/ü b/1", one)
    bucket.put("2.zip", packed.getvalue())
    bucket.put("a/bad", b"junk")
    bucket.put("a/later.part", three)
    bucket.put("upload.tmp/3", three)
    assert "can be written" in check(bucket.settings)
    bucket.look()
    assert stored(orthanc, who) == 2
    held = bucket.tree()
    assert sorted(held) == [
        ".deid/refused/not-dicom/a/bad",
        ".deid/refused/not-dicom/a/bad.reason.txt",
        ".deid/taken/2.zip",
        ".deid/taken/a/ü b/1",
        "a/later.part",
        "upload.tmp/3",
    ]
    assert held[".deid/taken/a/ü b/1"] == one
    assert held[".deid/refused/not-dicom/a/bad"] == b"junk"
    status = bucket.tools.collected.status(NAME)
    assert (status.taken, status.refused, status.waiting) == (2, 1, 0)
    assert not list(bucket.tools.work.glob("*"))
    bucket.put("a/again", one)
    bucket.put("a/ü b/1", ct_instance(who, number=77))
    bucket.look()
    assert {".deid/duplicates/a/again", ".deid/taken/a/ü b/1", ".deid/taken/a/ü b/1.2"} <= set(bucket.tree())


def test_delete_and_keep(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    who = person()
    one, two, three = ct_study(who, 3)
    gone = Bucket(server, orthanc, tmp_path / "1", after="delete")
    gone.put("x/1", one)
    gone.look()
    assert gone.tree() == {}
    kept = Bucket(server, orthanc, tmp_path / "2", after="keep")
    kept.put("x/2", two)
    kept.look()
    assert not Prefix(kept.settings, kept.tools).look()
    if isinstance(server, RcloneSftp):
        time.sleep(1.1)  # it tells whole seconds
    kept.put("x/2", three)
    kept.look()
    assert list(kept.tree()) == ["x/2"]
    assert stored(orthanc, who) == 3
    assert kept.tools.collected.status(NAME).taken == 2


def test_what_is_old_is_deleted(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    bucket = Bucket(server, orthanc, tmp_path, taken_days=7, refused_days=1)
    today = datetime.now(UTC).date()
    for days in (0, 3, 30):
        bucket.put(f".deid/taken/{today - timedelta(days=days)}/a/1", b"x")
        bucket.put(f".deid/refused/damaged/{today - timedelta(days=days)}/a/1", b"x")
    bucket.look()
    assert len([key for key in bucket.tree() if key.startswith(".deid/taken")]) == 2
    assert len([key for key in bucket.tree() if key.startswith(".deid/refused")]) == 1


def test_a_too_large_object_is_not_even_fetched(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    bucket = Bucket(server, orthanc, tmp_path, file_bytes=2048)
    bucket.put("large", bytes(5000))
    bucket.look()
    assert sorted(bucket.tree()) == [".deid/refused/too-large/large", ".deid/refused/too-large/large.reason.txt"]


def test_a_store_that_is_away_is_told_and_what_lies_there_waits(
    server: Server, orthanc: OrthancServer, tmp_path: Path
) -> None:
    if not isinstance(server, RcloneSftp | Moto):
        pytest.skip("the same code")
    bucket, who = Bucket(server, orthanc, tmp_path, timeout_s=3), person()
    bucket.put("1", ct_instance(who))
    wrong = bucket.settings.model_copy(update={"url": bucket.settings.url.replace("/inbox", "/nothing-inbox")})
    if isinstance(server, RcloneSftp):
        with pytest.raises(ConfigurationError, match="not there"):
            Prefix(wrong, bucket.tools).look()
        nowhere = bucket.settings.model_copy(update={"url": "sftp://127.0.0.1:1/x"})
    else:
        nowhere = bucket.settings.model_copy(update={"endpoint_url": "http://127.0.0.1:1/"})
    with pytest.raises(Retriable):
        Prefix(nowhere, bucket.tools).look()
    bucket.look()
    assert stored(orthanc, who) == 1


def test_listing_goes_by_pages(
    server: Server, orthanc: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(server, Moto):
        pytest.skip("S3 alone lets us ask for small pages here")
    bucket, who = Bucket(server, orthanc, tmp_path), person()
    for number, data in enumerate(ct_study(who, 7)):
        bucket.put(f"a/{number}", data)
    asked: list[int] = []
    pages = s3.S3Store._pages  # noqa: SLF001  # the pages are what this is about

    def small(self: Any, prefix: str, delimiter: str) -> Any:  # noqa: ANN401
        call = self._fs.call_s3

        def fewer(method: str, **more: Any) -> Any:  # noqa: ANN401
            if method == "list_objects_v2":
                asked.append(1)
                more["MaxKeys"] = 3
            return call(method, **more)

        monkeypatch.setattr(self._fs, "call_s3", fewer)
        return pages(self, prefix, delimiter)

    monkeypatch.setattr(s3.S3Store, "_pages", small)
    bucket.look()
    assert stored(orthanc, who) == 7
    assert len(asked) >= 4


def test_no_message_names_a_key(server: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    bucket, marker = Bucket(server, orthanc, tmp_path), "Vorgelmund-19630417"
    bucket.put(f"{marker}/1", b"junk")
    away = bucket.settings.model_copy(update={"url": bucket.settings.url + f"/{marker}/deeper"})
    told = ""
    try:
        Prefix(away, bucket.tools).look()
        told = check(away)
    except DeidError as error:
        told = str(error)
    assert marker not in told
    bucket.look()
    for path in tmp_path.rglob("deid.sqlite*"):
        assert marker.encode() not in path.read_bytes()
    assert all(marker.encode() not in data for key, data in bucket.tree().items() if key.endswith(".reason.txt"))
