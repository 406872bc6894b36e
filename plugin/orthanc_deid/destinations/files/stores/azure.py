"""Azure Blob Storage."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adlfs import AzureBlobFileSystem
from azure.storage.blob.aio import BlobServiceClient, LinearRetry
from fsspec.asyn import sync

from ....errors import ConfigurationError
from ....settings.files import ObjectStore
from ..store import Digests, media_type
from .errors import translated
from .fsspec_store import CHECK, FsspecStore

_TRIES = 1  # after the first


class _Azure(AzureBlobFileSystem):  # type: ignore[misc]  # not typed
    """Tries once more in place of three times with 15 s between: the outbox tries again by itself."""

    def __init__(self, settings: ObjectStore, **more: Any) -> None:  # noqa: ANN401  # of fsspec
        self._deid = settings
        super().__init__(**more)

    def do_connect(self) -> None:
        """Make the client with time-outs and parts of our own."""
        verify: dict[str, Any] = {"connection_verify": str(self._deid.ca_file)} if self._deid.ca_file else {}
        self.service_client = BlobServiceClient.from_connection_string(
            self.connection_string,
            retry_policy=LinearRetry(backoff=1, retry_total=_TRIES, random_jitter_range=0),
            connection_timeout=min(self._deid.timeout_s, 10),
            read_timeout=self._deid.timeout_s,
            max_single_put_size=self._deid.part_bytes,
            max_block_size=self._deid.part_bytes,
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

    def _fingerprint(self, info: Mapping[str, Any]) -> str:
        md5 = (info.get("content_settings") or {}).get("content_md5")
        return base64.b64encode(bytes(md5)).decode() if md5 else ""

    def _fingerprints(self, digests: Digests) -> tuple[str, ...]:
        return (base64.b64encode(digests.md5).decode(),)


@contextmanager
def opened(settings: ObjectStore) -> Iterator[AzureStore]:
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
                connection_string=settings.connection_string(),
                use_listings_cache=False,
                skip_instance_cache=True,
            )
        except ValueError:
            raise ConfigurationError("the connection string is not one") from None
    try:
        yield AzureStore(fs, settings.root, settings.part_bytes)
    finally:
        sync(fs.loop, fs.service_client.close)
