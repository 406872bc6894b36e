"""What a worker waits for at its start."""

import shutil
import threading
from pathlib import Path

from orthanc_deid.child_process import await_keys
from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.crosswalk import Crosswalk, Identity, Known
from orthanc_deid.database.key_states import KeyStates
from orthanc_deid.keyring import Keyring


def test_a_worker_waits_until_a_key_that_is_gone_is_back(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("5a" * 32)
    engine = open_database(f"sqlite:///{tmp_path / 'deid.sqlite'}", bytes(32))
    migrate(engine)
    ring, stopping = Keyring(tmp_path, {}), threading.Event()
    Crosswalk(engine, ring).assign("trial", Known(0, Identity("", "MRN-1"), "P1"))
    states, found = KeyStates(engine, ring), list[bool]()
    assert await_keys(states, ["trial", "new"], stopping)
    shutil.move(tmp_path / "keys", tmp_path / "away")
    assert await_keys(states, ["new"], stopping)
    thread = threading.Thread(target=lambda: found.append(await_keys(states, ["trial"], stopping)))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    shutil.move(tmp_path / "away", tmp_path / "keys")
    thread.join(20)
    assert found == [True]
    shutil.rmtree(tmp_path / "keys")
    stopping.set()
    assert not await_keys(states, ["trial"], stopping)
    engine.dispose()
