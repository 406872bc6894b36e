"""A database that was copied, without the key: searched for every identity in it, in every form it could have."""

import base64
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known, Mapped
from orthanc_deid.database.crosswalk_tables import ACCESSION, INSTANCE, SERIES, STUDY
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.keyring import Keyring
from orthanc_deid.sealed import _packed as packed
from planting import ACCESSION as NUMBER
from planting import FIRST, ID, INSTITUTION, NAME, ROOT
from planting import STUDY as STUDY_UID

PSEUDONYM, SESSION, UID = "PSEUDO-8812", "ses-zyxw9", "2.25.8812881288128812"
PLANTED: tuple[str, ...] = (
    NAME,
    FIRST,
    f"{NAME}^{FIRST}",
    f"{FIRST} {NAME}",
    ID,
    NUMBER,
    INSTITUTION,
    STUDY_UID,
    ROOT,
    PSEUDONYM,
)
PLANTED += (SESSION, UID)


def forms(text: str) -> Iterator[bytes]:
    """Yield how a text may stand in a file: by encoding, in hexadecimal and base64 digits at every offset, reversed."""
    for word in (text, text[::-1], text.upper(), text.lower()):
        for encoding in ("utf-8", "utf-16le", "utf-16be", "utf-32le", "latin-1", "cp037"):
            plain = word.encode(encoding)
            yield plain
            yield plain.hex().encode()
            yield plain.hex().upper().encode()
            for offset in range(3):
                digits = base64.b64encode(b"\x00" * offset + plain)
                yield digits[offset + (offset > 0) : len(digits) // 4 * 4 - 4]
    yield packed(f'["{text}')[1:-1]  # two characters a byte, as lists of UIDs are written before they are encrypted


def fill(url: str, home: Path) -> Keyring:
    """Write an identity wherever the crosswalk can hold one."""
    ring = Keyring(home, {"ORTHANC_DEID_KEY": "5a" * 32})
    engine = open_database(url, ring.audit())
    migrate(engine)
    walk = Crosswalk(engine, ring)
    for number, identity in enumerate((Identity(INSTITUTION, ID), Identity("", f"{NAME}^{FIRST}"))):
        known = walk.assign("trial", Known(0, identity, f"{PSEUDONYM}{number}", -123, f"{PSEUDONYM}-subject"))
        mapped = [Mapped(STUDY, STUDY_UID, UID, {"session": SESSION}), Mapped(ACCESSION, NUMBER, f"{PSEUDONYM}A")]
        mapped += [Mapped(kind, f"{ROOT}.1.{kind}", f"{UID}{kind}") for kind in (SERIES, INSTANCE)]
        walk.note("trial", known, mapped)
    engine.dispose()
    return ring


def copied(url: str, folder: Path) -> list[bytes]:
    """Return all bytes of a database while it is open: of SQLite with its log, of PostgreSQL as dumps."""
    if url.startswith("sqlite"):
        return [path.read_bytes() for path in folder.glob("deid.sqlite*")]
    dumps = [["pg_dump", "--dbname", url, *form] for form in ([], ["--inserts"], ["--format=custom", "--compress=0"])]
    return [subprocess.run(words, capture_output=True, timeout=60, check=True).stdout for words in dumps]


def test_a_copied_database_reveals_no_identity(database_url: str, tmp_path: Path) -> None:
    fill(database_url, tmp_path / "home")
    if database_url.startswith("sqlite"):  # keep a log, as while the service runs
        held = sqlite3.connect(tmp_path / "deid.sqlite")
        held.execute("SELECT count(*) FROM crosswalk").fetchone()
        fill(database_url, tmp_path / "home")
        assert (tmp_path / "deid.sqlite-wal").exists()
    found = copied(database_url, tmp_path)
    assert sum(b"crosswalk" in data for data in found) >= 1
    assert [text for text in PLANTED for form in forms(text) for data in found if len(form) > 4 and form in data] == []


def test_the_search_finds_what_is_not_encrypted() -> None:
    for text in PLANTED:
        told = list(forms(text))
        for plain in (text.encode(), text.encode("utf-16be"), text.encode().hex().encode(), text[::-1].encode()):
            assert any(len(form) > 4 and form in b"before " + plain + b" after" for form in told)
        for offset in range(3):
            assert any(len(f) > 4 and f in base64.b64encode(b"x" * offset + text.encode() + b"tail") for f in told)


def test_a_copy_with_another_master_key_or_without_the_folder_opens_nothing(database_url: str, tmp_path: Path) -> None:
    ring = fill(database_url, tmp_path / "home")
    engine = open_database(database_url)
    other = Keyring(tmp_path / "home", {"ORTHANC_DEID_KEY": "6b" * 32})
    alone = Keyring(tmp_path / "thief", {"ORTHANC_DEID_KEY": ring.master.hex()})
    for each in (other, alone):
        with pytest.raises(ConfigurationError):
            Crosswalk(engine, each).patient("trial", Identity(INSTITUTION, ID))
    engine.dispose()
