"""Object stores and SFTP servers as processes on free ports; `python tests/object_servers.py` installs those of npm."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from servers import free_port, wait_for

PACKAGES = Path(__file__).resolve().parent / "node"
SECRET = "s3cr3t-of-the-tests"
# Published by Microsoft for the emulator.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "research"


def node_folder() -> Path:
    """Answer where the packages of tests/node are installed: a cache folder, by the hash of what is locked."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    locked = hashlib.sha256((PACKAGES / "package-lock.json").read_bytes()).hexdigest()[:12]
    return cache / "orthanc-deid" / f"node-{locked}"


def install() -> None:
    """Install the packages of tests/node where they are missing; needs the network the first time."""
    folder = node_folder()
    if (folder / "installed").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, folder)
    npm = Path(sys.executable).with_name("npm")
    words = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    environment = os.environ | {"PATH": f"{npm.parent}:{os.environ['PATH']}"}
    subprocess.run(words, cwd=folder, env=environment, timeout=600, check=True)
    (folder / "installed").touch()


def _program(package: str, script: str) -> list[str]:
    path = node_folder() / "node_modules" / package / script
    assert path.exists(), "not installed: run ./test, or python tests/object_servers.py"
    return [str(Path(sys.executable).with_name("node")), str(path)]


@dataclass
class Server:
    """A process that listens on a port; `kill` and `start` again keep its port and folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def words(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def make_bucket(self) -> None:
        """Make the bucket or container; those that make one when they start do nothing."""

    def settings(self) -> dict[str, Any]:
        """Answer what the destination's settings say of it."""
        raise NotImplementedError

    def held(self, part: str = "") -> dict[str, bytes]:
        """Answer all that it holds, or what has that part in its name, asked without our code."""
        raise NotImplementedError

    def remove(self, key: str) -> None:
        raise NotImplementedError

    def replace(self, key: str, content: bytes) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.words(),
                cwd=self.folder,
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self._listens, 60, f"{type(self).__name__} answers")
        except AssertionError:
            self.kill()
            raise

    def _listens(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class S3Server(Server):
    """What the two S3 servers have in common."""

    key_id = "moto"
    secret = SECRET
    prefix = "a/prefix"

    def settings(self) -> dict[str, Any]:
        return {
            "url": f"s3://{BUCKET}/{self.prefix}".rstrip("/"),
            "endpoint_url": self.url,
            "region": "us-east-1",
            "access_key_id": self.key_id,
            "secret_access_key_file": str(secret_file(self.folder, self.secret)),
        }

    @contextmanager
    def client(self) -> Iterator[Any]:
        import boto3  # type: ignore[import-untyped]  # moto brings it

        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
        )
        try:
            yield client
        finally:
            client.close()

    def held(self, part: str = "") -> dict[str, bytes]:
        with self.client() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            keys = [each["Key"] for page in pages for each in page.get("Contents", ()) if part in each["Key"]]
            return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def remove(self, key: str) -> None:
        with self.client() as client:
            client.delete_object(Bucket=BUCKET, Key=key)

    def replace(self, key: str, content: bytes) -> None:
        with self.client() as client:
            client.put_object(Bucket=BUCKET, Key=key, Body=content)


class Moto(S3Server):
    """S3 in memory."""

    def words(self) -> list[str]:
        return [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(self.port)]

    def make_bucket(self) -> None:
        requests.put(f"{self.url}/{BUCKET}", timeout=20).raise_for_status()


class S3rver(S3Server):
    """S3 on disk, with signatures checked; a second opinion."""

    key_id = "S3RVER"
    secret = "S3RVER"
    prefix = ""

    def words(self) -> list[str]:
        where = ["-d", str(self.folder / "data"), "-a", "127.0.0.1", "-p", str(self.port), "--silent"]
        return [*_program("s3rver", "bin/s3rver.js"), *where, "--configure-bucket", BUCKET, "--no-vhost-buckets"]


class Azurite(Server):
    """Azure Blob Storage."""

    def words(self) -> list[str]:
        where = ["-l", str(self.folder / "data"), "--blobPort", str(self.port), "--silent", "--disableTelemetry"]
        script = "dist/src/blob/main.js"
        return [*_program("azurite", script), *where, "--skipApiVersionCheck", "--disableProductStyleUrl"]

    def connection_string(self, port: int | None = None, key: str = AZURE_KEY) -> str:
        address = f"http://127.0.0.1:{port or self.port}/{AZURE_ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={key};BlobEndpoint={address};"

    def make_bucket(self) -> None:
        with self.client() as client:
            client.create_container()

    @contextmanager
    def client(self) -> Iterator[Any]:
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(self.connection_string()) as client:
            yield client.get_container_client(BUCKET)

    def held(self, part: str = "") -> dict[str, bytes]:
        with self.client() as client:
            names = [blob.name for blob in client.list_blobs() if part in blob.name]
            return {name: client.download_blob(name).readall() for name in names}

    def remove(self, key: str) -> None:
        with self.client() as client:
            client.delete_blob(key)

    def replace(self, key: str, content: bytes) -> None:
        with self.client() as client:
            client.upload_blob(key, content, overwrite=True)

    def settings(self) -> dict[str, Any]:
        file = secret_file(self.folder, self.connection_string())
        return {"url": f"az://{BUCKET}/a/prefix", "connection_string_file": str(file)}


class GcsEmulator(Server):
    """Google Cloud Storage in memory."""

    def words(self) -> list[str]:
        program = [str(Path(sys.executable).with_name("gcp-storage-emulator")), "start", "--host", "127.0.0.1"]
        return [*program, "--port", str(self.port), "--default-bucket", BUCKET, "--in-memory", "--quiet"]

    def held(self, part: str = "") -> dict[str, bytes]:
        found = requests.get(f"{self.url}/storage/v1/b/{BUCKET}/o", timeout=20).json().get("items", [])
        names = [item["name"] for item in found if part in item["name"]]
        return {name: requests.get(self._address(name) + "?alt=media", timeout=20).content for name in names}

    def remove(self, key: str) -> None:
        requests.delete(self._address(key), timeout=20).raise_for_status()

    def replace(self, key: str, content: bytes) -> None:
        address = f"{self.url}/upload/storage/v1/b/{BUCKET}/o"
        more = {"uploadType": "media", "name": key}
        requests.post(address, params=more, data=content, timeout=20).raise_for_status()

    def _address(self, name: str) -> str:
        return f"{self.url}/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}"

    def settings(self) -> dict[str, Any]:
        return {"url": f"gs://{BUCKET}/a/prefix", "endpoint_url": self.url, "anonymous": True}


class RcloneSftp(Server):
    """An SFTP server over a folder."""

    user = "tester"

    def words(self) -> list[str]:
        served = self.folder / "served"
        (served / "incoming").mkdir(parents=True, exist_ok=True)
        host_key = self.folder / "host-key"
        if not host_key.exists():
            make_key(host_key)
        log_in = ["--user", self.user, "--pass", SECRET, "--key", str(host_key)]
        return [
            "rclone",
            "serve",
            "sftp",
            str(served),
            "--addr",
            f"127.0.0.1:{self.port}",
            "--dir-cache-time",
            "0",
            *log_in,
        ]

    def environment(self) -> Mapping[str, str]:
        return {"RCLONE_CONFIG": str(self.folder / "rclone.conf")}

    def held(self, part: str = "") -> dict[str, bytes]:
        root = self.folder / "served" / "incoming"
        found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if part in name}

    def remove(self, key: str) -> None:
        (self.folder / "served" / "incoming" / key).unlink()

    def replace(self, key: str, content: bytes) -> None:
        (self.folder / "served" / "incoming" / key).write_bytes(content)

    def known_hosts(self, port: int | None = None) -> Path:
        path = self.folder / "known_hosts"
        public = (self.folder / "host-key.pub").read_text().split()[:2]
        path.write_text(f"[127.0.0.1]:{port or self.port} {' '.join(public)}\n")
        return path

    def fingerprint(self) -> str:
        blob = base64.b64decode((self.folder / "host-key.pub").read_text().split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    def settings(self) -> dict[str, Any]:
        return {
            "url": f"sftp://127.0.0.1:{self.port}/incoming",
            "username": self.user,
            "password_file": str(secret_file(self.folder)),
            "known_hosts": str(self.known_hosts()),
        }


def make_key(path: Path) -> None:
    """Make an SSH key pair."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(words, timeout=20, check=True)


def secret_file(folder: Path, secret: str = SECRET) -> Path:
    """Write a secret and answer its path."""
    path = folder / f"secret-{hashlib.sha256(secret.encode()).hexdigest()[:8]}"
    path.write_text(secret + "\n")
    return path


class Proxy:
    """Passes TCP on to a port; can cut a connection after so many bytes, or slow it."""

    def __init__(self, port: int) -> None:
        self.cut_after: int | None = None  # bytes to the server, of all connections; from then on each is cut at once
        self.pause_s = 0.0  # before each piece to the server
        self.passed = 0
        self.cuts = 0
        self._target = port
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                return
            with server:
                client.settimeout(0.2)
                server.settimeout(0.2)
                back = threading.Thread(target=self._pump, args=(server, client, self._no_limit))
                back.start()
                self._pump(client, server, self._limit)
                for each in (client, server):
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
                back.join()

    def _limit(self, count: int) -> bool:
        self._closing.wait(self.pause_s)
        self.passed += count
        if self.cut_after is not None and self.passed > self.cut_after:
            self.cuts += 1
            return False
        return True

    @staticmethod
    def _no_limit(count: int) -> bool:
        return count > 0

    def _pump(self, source: socket.socket, target: socket.socket, passes: Callable[[int], bool]) -> None:
        while not self._closing.is_set():
            try:
                piece = source.recv(2**16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not piece or not passes(len(piece)):
                return
            try:
                target.settimeout(10)
                target.sendall(piece)
            except OSError:
                return
            finally:
                target.settimeout(0.2)

    def close(self) -> None:
        self._closing.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(15)


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """Answer a proxy in front of a port; it ends with the block."""
    made = Proxy(port)
    try:
        yield made
    finally:
        made.close()


if __name__ == "__main__":
    install()
