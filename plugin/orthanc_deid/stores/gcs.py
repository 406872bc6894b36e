"""Google Cloud Storage."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before the import: else it asks a gRPC service that an emulator does not have, for four minutes.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

import base64
import ssl

import aiohttp
from fsspec.asyn import get_loop, sync
from gcsfs import GCSFileSystem
from gcsfs.retry import retry_request

from ..errors import ConfigurationError
from ..settings.stores import Store as StoreSettings
from .errors import translated
from .fsspec_store import CHECK, FsspecStore
from .store import Digests, Listed, Writing, media_type

_TRIES = 2
_PAGE = 1000  # files of one answer
_GRAIN = 2**18  # parts of a resumable upload are a multiple


class _Gcs(GCSFileSystem):  # type: ignore[misc]  # not typed
    """Tries twice in place of six times: the outbox tries again by itself."""

    _request = retry_request(retries=_TRIES)(GCSFileSystem._request.__wrapped__)  # noqa: SLF001


class GcsStore(FsspecStore):
    """One bucket."""

    def describe(self) -> str:
        """Look at the bucket and write an empty object."""
        with translated():
            self._fs.info(self._root.partition("/")[0])
            self._fs.pipe_file(self._path(CHECK), b"")
            self._fs.rm_file(self._path(CHECK))
        return "Google Cloud Storage bucket, can be written"

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # an object is whole by itself
        """Store a local file, whole or not at all, in place of what stands there."""
        with translated():
            self._fs.put_file(
                str(path), self._path(key), chunksize=self.part_bytes // _GRAIN * _GRAIN,
                metadata=dict(metadata) or None, consistency="size", content_type=media_type(key),
            )  # fmt: skip

    def _pages(self, prefix: str, delimiter: str) -> Iterator[tuple[list[Listed], list[str]]]:
        bucket, _, _ = self._root.partition("/")
        asked = {"prefix": prefix, "maxResults": _PAGE} | ({"delimiter": delimiter} if delimiter else {})
        more: dict[str, str] = {}
        while True:
            page = self._fs.call("GET", "b/{}/o", bucket, **asked, **more, json_out=True)
            files = [
                self._listed(each["name"], int(each["size"]), f"{each.get('generation')}:{each.get('updated')}")
                for each in page.get("items", ())
            ]
            yield files, list(page.get("prefixes", ()))
            if not page.get("nextPageToken"):
                return
            more = {"pageToken": page["nextPageToken"]}

    def _fingerprint(self, info: Mapping[str, Any]) -> str:
        return str(info.get("md5Hash") or "")

    def _fingerprints(self, digests: Digests) -> tuple[str, ...]:
        return (base64.b64encode(digests.md5).decode(),)


async def _connector(ca_file: str) -> aiohttp.TCPConnector:
    """Make it inside the loop that will use it."""
    return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))


@contextmanager
def opened(settings: StoreSettings, writing: Writing) -> Iterator[GcsStore]:
    """Connect, and close every connection in the end.

    Raises
    ------
    ConfigurationError
        The service account's file cannot be read.
    """
    account = settings.service_account_file
    if account and not account.is_file():
        raise ConfigurationError(f"secret file {account.name}: it is not there")
    token = "anon" if settings.anonymous else str(account) if account else "google_default"
    session: dict[str, Any] = {}
    if settings.ca_file:
        session["connector"] = sync(get_loop(), _connector, str(settings.ca_file))
    with translated():
        fs = _Gcs(
            token=token,
            endpoint_url=str(settings.endpoint_url).rstrip("/") if settings.endpoint_url else None,
            requests_timeout=settings.timeout_s,
            session_kwargs=session,
            use_listings_cache=False,
            cache_timeout=0,
            skip_instance_cache=True,
        )
    try:
        yield GcsStore(fs, settings.root, writing.part_bytes)
    finally:
        if fs._session is not None:  # noqa: SLF001  # it has no close of its own
            GCSFileSystem.close_session(fs.loop, fs._session)  # noqa: SLF001
