"""The keys of a home: made once, found again, shared, refused where they are gone, destroyed for ever."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orthanc_deid import keyring
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.keyring import Keyring

MASTER = "5a" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(MASTER + "\n")
    (tmp_path / "key").chmod(0o600)
    return tmp_path


@pytest.fixture
def ring(home: Path) -> Keyring:
    return Keyring(home, {})


def test_a_projects_key_is_made_once_and_every_process_finds_the_same(home: Path, ring: Keyring) -> None:
    made = ring.project("trial")
    assert len(made) == 32
    assert ring.project("trial") == Keyring(home, {}).project("trial") == made
    assert ring.project("other") != made


def test_another_master_key_or_another_random_part_makes_another_key(home: Path, ring: Keyring) -> None:
    made = ring.project("trial")
    assert Keyring(home, {"ORTHANC_DEID_KEY": "6b" * 32}).project("trial") != made
    (home / "keys" / "project-trial").write_text("00" * 32)
    assert ring.project("trial") != made


def test_keys_can_be_read_by_their_owner_only(home: Path, ring: Keyring) -> None:
    before = os.umask(0)
    try:
        ring.project("trial")
        ring.add_generation()
    finally:
        os.umask(before)
    told = ring.modes()
    assert told == {"key": 0o600, "keys": 0o700, "keys/crosswalk-1": 0o600, "keys/project-trial": 0o600}
    assert (home / "known-keys").stat().st_mode & 0o777 == 0o700


def test_twenty_threads_that_need_a_key_at_once_get_one(home: Path) -> None:
    begin, found = threading.Barrier(20), set()

    def ask() -> None:
        begin.wait(10)
        found.add(Keyring(home, {}).project("trial"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 1
    assert [path.name for path in (home / "keys").iterdir()] == ["project-trial"]


@pytest.mark.parametrize("loss", ["file", "folder", "another folder"])
def test_a_key_that_was_here_and_is_gone_is_not_made_anew(home: Path, ring: Keyring, loss: str, tmp_path: Path) -> None:
    ring.project("trial")
    here = home / "keys" / "project-trial"
    kept = here.read_text()
    if loss == "another folder":
        ring = Keyring(home, {"ORTHANC_DEID_KEYS": str(tmp_path / "not mounted")})
    else:
        here.unlink()
        if loss == "folder":
            here.parent.rmdir()
    with pytest.raises(ConfigurationError, match="project-trial is not in the folder of keys: mount the folder, or"):
        ring.project("trial")
    assert not (ring.folder / "project-trial").exists()
    ring.folder.mkdir(exist_ok=True)
    (ring.folder / "project-trial").write_text(kept)
    assert ring.project("trial")


def test_a_home_that_cannot_be_written_uses_the_shared_folder_all_the_same(home: Path, tmp_path: Path) -> None:
    (home / "known-keys").touch()  # a file where its folder should be
    shared = {"ORTHANC_DEID_KEYS": str(tmp_path / "shared")}
    assert Keyring(home, shared).project("trial") == Keyring(home, shared).project("trial")


def test_homes_that_share_a_folder_and_a_master_key_have_the_same_keys(home: Path, tmp_path: Path) -> None:
    environment = {"ORTHANC_DEID_KEYS": str(tmp_path / "shared" / "keys"), "ORTHANC_DEID_KEY": MASTER}
    one, two = Keyring(home, environment), Keyring(tmp_path / "second", environment)
    assert one.add_generation() == 1
    assert one.project("trial") == two.project("trial")
    assert one.crosswalk("trial", 1) == two.crosswalk("trial", 1)
    assert not (home / "keys").exists()


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({}, "the file key"),
        ({"ORTHANC_DEID_KEY": MASTER.upper() + "\n"}, "ORTHANC_DEID_KEY"),
        ({"ORTHANC_DEID_KEY_COMMAND": f"printf %s {MASTER}"}, "ORTHANC_DEID_KEY_COMMAND"),
    ],
)
def test_the_master_key_comes_from_file_environment_or_command(
    home: Path, environment: dict[str, str], source: str
) -> None:
    ring = Keyring(home, environment)
    assert (ring.master.hex(), ring.source, ring.comes_from_outside) == (MASTER, source, bool(environment))


def test_a_key_command_is_asked_once(home: Path) -> None:
    ring = Keyring(home, {"ORTHANC_DEID_KEY_COMMAND": f"echo asked >> {home}/asked; echo {MASTER}"})
    assert ring.master == ring.master
    assert (home / "asked").read_text() == "asked\n"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ORTHANC_DEID_KEY": "5a" * 31}, "ORTHANC_DEID_KEY does not hold 64 hexadecimal digits"),
        ({"ORTHANC_DEID_KEY_COMMAND": "exit 7"}, "ORTHANC_DEID_KEY_COMMAND: it ended with exit code 7"),
        ({"ORTHANC_DEID_KEY_COMMAND": "echo secret-of-the-vault"}, "ORTHANC_DEID_KEY_COMMAND does not hold"),
        ({"ORTHANC_DEID_KEY_COMMAND": "echo secret-of-the-vault >&2; exit 1"}, "it ended with exit code 1"),
    ],
)
def test_a_master_key_that_is_none_is_refused_without_being_shown(
    home: Path, environment: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Keyring(home, environment).project("trial")
    assert "secret" not in str(caught.value)


def test_a_missing_or_unreadable_master_key_is_refused(home: Path) -> None:
    (home / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="the key cannot be read"):
        _ = Keyring(home, {}).master
    (home / "key").unlink()
    with pytest.raises(ConfigurationError, match="the key cannot be read"):
        _ = Keyring(home, {}).master


def test_a_key_command_that_hangs_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "COMMAND_S", 0.2)
    with pytest.raises(ConfigurationError, match="no answer in 0 s"):
        _ = Keyring(home, {"ORTHANC_DEID_KEY_COMMAND": "exec sleep 5"}).master


def test_a_folder_that_cannot_be_used_is_told_without_its_path(home: Path) -> None:
    (home / "keys").touch()
    with pytest.raises(
        ConfigurationError, match=r"^keys/project-trial cannot be used \((FileExists|NotADir)"
    ) as caught:
        Keyring(home, {}).project("trial")
    assert str(home) not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"\xff" * 64])
def test_a_damaged_random_part_is_refused_and_left_as_it_is(home: Path, ring: Keyring, content: bytes) -> None:
    ring.project("trial")
    (home / "keys" / "project-trial").write_bytes(content)
    with pytest.raises(ConfigurationError, match="bring it back from a backup"):
        ring.project("trial")
    assert (home / "keys" / "project-trial").read_bytes() == content


def test_a_destroyed_key_is_gone_from_the_disk_and_is_never_made_again(home: Path, ring: Keyring) -> None:
    ring.project("trial")
    kept = (home / "keys" / "project-trial").read_text().strip()
    unfinished = home / "keys" / ".project-trial.0123456789abcdef"
    unfinished.write_text(kept)  # of a process that was killed
    (home / "keys" / ".project-trial.b.0123456789abcdef").write_text("another project's")
    ring.destroy("trial")
    ring.destroy("trial")
    assert ring.is_sealed("trial")
    left = sorted(path.name for path in (home / "keys").iterdir())
    assert left == [".project-trial.b.0123456789abcdef", "sealed-trial"]
    for again in (ring, Keyring(home, {})):
        with pytest.raises(ConfigurationError, match="project trial is sealed"):
            again.project("trial")
    assert not any(kept.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_backup_of_a_destroyed_key_is_destroyed_too(home: Path, ring: Keyring) -> None:
    ring.project("trial")
    kept = (home / "keys" / "project-trial").read_text()
    ring.destroy("trial")
    (home / "keys" / "project-trial").write_text(kept)
    with pytest.raises(ConfigurationError, match="sealed"):
        ring.project("trial")
    assert not (home / "keys" / "project-trial").exists()


def test_a_key_that_is_made_in_the_moment_of_the_seal_is_none(
    home: Path, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Keyring._make  # the moment between its look and its link

    def sealed_first(self: Keyring, name: str) -> None:
        Keyring(home, {}).destroy("trial")
        make(self, name)

    monkeypatch.setattr(Keyring, "_make", sealed_first)
    with pytest.raises(ConfigurationError, match="sealed"):
        ring.project("trial")
    assert [path.name for path in (home / "keys").iterdir()] == ["sealed-trial"]


def test_projects_whose_names_resemble_each_other_are_sealed_one_by_one(ring: Keyring) -> None:
    for name in ("trial", "trial.sealed", "sealed-trial"):
        ring.project(name)
    ring.destroy("trial")
    assert [ring.is_sealed(name) for name in ("trial", "trial.sealed", "sealed-trial")] == [True, False, False]
    assert ring.project("trial.sealed") != ring.project("sealed-trial")


def test_generations_are_counted_and_an_old_one_is_destroyed(home: Path, ring: Keyring) -> None:
    assert ring.generations() == []
    assert not (home / "keys").exists()
    assert [ring.add_generation() for _ in range(11)] == list(range(1, 12))
    assert ring.generations() == list(range(1, 12))
    keys = {ring.crosswalk("trial", number) for number in ring.generations()}
    assert len(keys) == 11
    assert ring.crosswalk("other", 1) not in keys
    ring.retire(1)
    assert ring.generations() == list(range(2, 12))
    with pytest.raises(ConfigurationError, match="crosswalk-1 is not in the folder of keys"):
        ring.crosswalk("trial", 1)
    assert ring.generations() == list(range(2, 12))


def test_other_files_of_the_folder_are_no_generations(home: Path, ring: Keyring) -> None:
    ring.add_generation()
    for name in ("crosswalk-2.bak", "crosswalk-02", "crosswalk-x", ".crosswalk-3.0123456789abcdef", "lost+found"):
        (home / "keys" / name).touch()
    assert ring.generations() == [1]


KILLED = """
import os, sys
from pathlib import Path
from orthanc_deid.keyring import Keyring
if sys.argv[2] == "before": os.link = lambda *_: os._exit(9)
else:
    Path.unlink = lambda *_, **__: os._exit(9)
Keyring(Path(sys.argv[1]), {}).project("trial")
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed_while_it_makes_a_key_leaves_a_whole_one_or_none(
    home: Path, ring: Keyring, moment: str
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(home), moment], timeout=30, check=False)
    assert done.returncode == 9
    assert (home / "keys" / "project-trial").exists() == (moment == "after")
    assert ring.project("trial") == Keyring(home, {}).project("trial")


def test_neither_the_keyring_nor_its_faults_show_a_key(home: Path, ring: Keyring) -> None:
    ring.project("trial")
    salt = (home / "keys" / "project-trial").read_text().strip()
    assert not any(secret in f"{ring!r} {ring.source} {ring.modes()}" for secret in (MASTER, salt))
