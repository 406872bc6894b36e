"""Orthanc's own audit, where it is there (Orthanc 1.13 with plugin 7.1): called as it wants to be called."""

import json
from pathlib import Path

from conftest import NewOrthanc
from servers import MAIN, wait_for

CODE = """
import json, sys, threading, orthanc
sys.path.insert(0, {plugin!r})
from orthanc_deid.audit_feed import Feed, facility
from orthanc_deid.service_socket import Service
from pathlib import Path

class Told(Feed):
    def _ask(self, after):
        items = [dict(id=n, what="done", actor="system", source=None if n % 2 else "x", detail={{}}) for n in (1, 2)]
        return dict(items=items if after == 0 else [], last=2)

found = facility(orthanc)
if found:
    Told(Service(Path("none"), "secret"), found, Path({folder!r})).start()
with open({result!r}, "w") as file:
    json.dump(bool(found), file)
"""


def test_orthanc_takes_records_where_it_has_an_audit(new_orthanc: NewOrthanc, tmp_path: Path) -> None:
    script, result = tmp_path / "feed.py", tmp_path / "found.json"
    script.write_text(CODE.format(plugin=str(MAIN.parent), folder=str(tmp_path), result=str(result)))
    with new_orthanc(script=script) as server:
        assert json.loads(result.read_text()) == (server.version >= (1, 13))
        if server.version >= (1, 13):
            cursor = tmp_path / "audit-passed-on"
            wait_for(lambda: cursor.exists() and cursor.read_text() == "2\n")
