"""Parts of multipart/related, however the pieces of an answer break."""

import itertools
import random
from collections.abc import Iterator

import pytest

from orthanc_deid.errors import Rejected, Retriable
from orthanc_deid.pacs import multipart
from orthanc_deid.pacs.multipart import Parts, boundary


def contents(pieces: list[bytes]) -> list[bytes]:
    return [part.read() for part in Parts(pieces, b"lim")]


def made(rng: random.Random) -> tuple[list[bytes], bytes]:
    """Answer parts full of what looks like a boundary, and the body that holds them."""
    parts = [bytes(rng.choices(b"\r\n-li\x00", k=rng.randrange(60))) for _ in range(rng.randrange(1, 4))]
    headers = (b"Content-Type: application/dicom\r\n\r\n", b"\r\n")
    body = b"".join(b"--lim\r\n" + rng.choice(headers) + part + b"\r\n" for part in parts) + b"--lim--\r\n"
    return parts, rng.choice((b"", b"an introduction\r\n")) + body


def test_parts_come_out_as_they_went_in_and_a_cut_is_noticed() -> None:
    rng = random.Random(4)
    for _ in range(500):
        parts, body = made(rng)
        size = rng.randrange(1, 9)
        assert contents([body[at : at + size] for at in range(0, len(body), size)]) == parts
        with pytest.raises(Retriable, match="cut off"):
            contents([body[: rng.randrange(len(body) - 4)]])


def test_a_large_part_does_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "IN_MEMORY", 1 << 20)

    def pieces() -> Iterator[bytes]:
        yield b"--lim\r\n\r\n"
        yield from (bytes(1 << 16) for _ in range(64))
        yield b"\r\n--lim--"

    for part in Parts(pieces(), b"lim"):
        assert part.seek(0, 2) == 64 << 16
        assert part.fileno() > 0  # a file by now


@pytest.mark.parametrize(
    ("content_type", "limit"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related; Boundary="a b"; type="application/dicom"', b"a b"),
        ("application/dicom", None),
        ("multipart/related", None),
    ],
)
def test_the_boundary_is_read_from_the_type(content_type: str, limit: bytes | None) -> None:
    assert boundary(content_type) == limit


def test_an_endless_part_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "LARGEST", 1 << 20)
    endless = itertools.chain([b"--x\r\n\r\n"], itertools.repeat(bytes(1 << 16)))
    with pytest.raises(Rejected, match="too large"):
        list(Parts(endless, b"x"))


@pytest.mark.parametrize("begin", [b"a", b"--x\r\n"])
def test_an_answer_that_is_never_parted_is_not_read_to_its_end(begin: bytes) -> None:
    endless = itertools.chain([begin], itertools.repeat(b"a" * 4096))
    with pytest.raises(Rejected, match="not parted"):
        list(Parts(endless, b"x"))
