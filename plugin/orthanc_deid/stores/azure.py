"""Azure Blob Storage."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adlfs import AzureBlobFileSystem
from azure.storage.blob.aio import BlobServiceClient, LinearRetry
from fsspec.asyn import sync

from ..errors import ConfigurationError, Retriable
from ..settings.stores import Store as StoreSettings
from .errors import translated
from .fsspec_store import CHECK, FsspecStore
from .store import Digests, Listed, Writing, media_type

_TRIES = 1  # after the first
_COPY_WAITS = [0.1 * 2**n for n in range(10)]  # seconds


class _Azure(AzureBlobFileSystem):  # type: ignore[misc]  # not typed
    """Tries once more in place of three times with 15 s between: the outbox tries again by itself."""

    def __init__(self, settings: StoreSettings, part_bytes: int, **more: Any) -> None:  # noqa: ANN401  # of fsspec
        self._deid, self._part_bytes = settings, part_bytes
        super().__init__(**more)

    def do_connect(self) -> None:
        """Make the client with time-outs and parts of our own."""
        verify: dict[str, Any] = {"connection_verify": str(self._deid.ca_file)} if self._deid.ca_file else {}
        self.service_client = BlobServiceClient.from_connection_string(
            self.connection_string,
            retry_policy=LinearRetry(backoff=1, retry_total=_TRIES, random_jitter_range=0),
            connection_timeout=min(self._deid.timeout_s, 10),
            read_timeout=self._deid.timeout_s,
            max_single_put_size=self._part_bytes,
            max_block_size=self._part_bytes,
            **verify,
        )


class AzureStore(FsspecStore):
    """One container; each part is checked by the store against its MD5."""

    def describe(self) -> str:
        """Look at the container and write an empty object."""
        with translated():
            self._fs.info(self._root.partition("/")[0])
            self._fs.pipe_file(self._path(CHECK), b"", overwrite=True)
            self._fs.rm_file(self._path(CHECK))
        return "Azure container, can be written"

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # an object is whole by itself
        """Store a local file, whole or not at all, in place of what stands there."""
        container, _, name = self._path(key).partition("/")
        with translated():
            sync(self._fs.loop, self._upload, path, container, name, digests, dict(metadata))

    async def _upload(self, path: Path, container: str, name: str, digests: Digests, metadata: dict[str, str]) -> None:
        # Not put_file: it has no room for metadata.
        from azure.storage.blob import ContentSettings

        content = ContentSettings(content_type=media_type(name), content_md5=bytearray(digests.md5))
        with path.open("rb") as file:
            async with self._fs.service_client.get_blob_client(container, name) as blob:
                await blob.upload_blob(
                    file, length=digests.size, overwrite=True, metadata=metadata or None, content_settings=content,
                    validate_content=True, max_concurrency=1,
                )  # fmt: skip

    def _pages(self, prefix: str, delimiter: str) -> Iterator[tuple[list[Listed], list[str]]]:
        token: str | None = None
        while True:
            files, folders, token = sync(self._fs.loop, self._page, prefix, delimiter, token)
            yield files, folders
            if not token:
                return

    async def _page(self, prefix: str, delimiter: str, token: str | None) -> tuple[list[Listed], list[str], str | None]:
        files, folders = [], []
        async with self._fs.service_client.get_container_client(self._root.partition("/")[0]) as container:
            if delimiter:
                pages = container.walk_blobs(name_starts_with=prefix, delimiter=delimiter).by_page(token)
            else:
                pages = container.list_blobs(name_starts_with=prefix).by_page(token)
            async for each in await anext(pages):
                if not hasattr(each, "etag"):  # a prefix
                    folders.append(str(each.name))
                else:
                    files.append(self._listed(each.name, each.size, f"{each.etag}:{each.last_modified}"))
        return files, folders, pages.continuation_token

    def _copy(self, source: str, target: str) -> None:
        # Not cp_file: it does not wait for the end of the copy.
        sync(self._fs.loop, self._copied, source, target)

    async def _copied(self, source: str, target: str) -> None:
        container, _, name = source.partition("/")
        async with (
            self._fs.service_client.get_blob_client(container, name) as old,
            self._fs.service_client.get_blob_client(container, target.partition("/")[2]) as new,
        ):
            await new.start_copy_from_url(old.url)
            for wait in _COPY_WAITS:
                copy = (await new.get_blob_properties()).copy
                if copy.status != "pending":
                    break
                await asyncio.sleep(wait)
            if copy.status != "success":
                raise Retriable("the store has not copied a file")

    def _fingerprint(self, info: Mapping[str, Any]) -> str:
        md5 = (info.get("content_settings") or {}).get("content_md5")
        return base64.b64encode(bytes(md5)).decode() if md5 else ""

    def _fingerprints(self, digests: Digests) -> tuple[str, ...]:
        return (base64.b64encode(digests.md5).decode(),)


@contextmanager
def opened(settings: StoreSettings, writing: Writing) -> Iterator[AzureStore]:
    """Connect, and close every connection in the end.

    Raises
    ------
    ConfigurationError
        The connection string is missing or is none.
    """
    with translated():
        try:
            fs = _Azure(
                settings,
                writing.part_bytes,
                connection_string=settings.connection_string(),
                use_listings_cache=False,
                skip_instance_cache=True,
            )
        except ValueError:
            raise ConfigurationError("the connection string is not one") from None
    try:
        yield AzureStore(fs, settings.root, writing.part_bytes)
    finally:
        sync(fs.loop, fs.service_client.close)
