"""A PostgreSQL of the tests' own: one cluster for the run, one empty database for each test."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from servers import free_port, wait_for

BINARIES = Path("/usr/lib/postgresql")


class PostgresqlServer:
    """An ephemeral cluster on a free port of the loopback interface; `stop` removes it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="deid-pg-"))
        self.port = free_port()
        self._bin = max(BINARIES.glob("*/bin"))
        # PostgreSQL refuses to run as root; Debian's package brings a user for it.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "deid", "--no-sync", "-E", "UTF8")
        self.start()

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-o", options, "-l", log, "-w", "-t", "30", "start")
        wait_for(self._answers, 30, "PostgreSQL answers")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the cluster."""
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", "30", "stop")

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """Make an empty database and answer its URL."""
        name = f"deid_{secrets.token_hex(4)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://deid@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._url("postgres"), connect_timeout=2):
                pass
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if self._user:
            command = ["setpriv", "--reuid", self._user, "--regid", self._user, "--clear-groups", *command]
        subprocess.run(command, check=True, timeout=90, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
