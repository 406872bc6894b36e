"""S3 and what speaks like it."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3fs import S3FileSystem

from ..settings.stores import Store as StoreSettings
from .errors import translated
from .fsspec_store import CHECK, FsspecStore
from .store import Digests, Listed, Writing, media_type

_TRIES = 2


class S3Store(FsspecStore):
    """One bucket; a file of up to two parts goes in one request, checked by the store against its MD5."""

    def __init__(self, fs: S3FileSystem, root: str, writing: Writing) -> None:
        super().__init__(fs, root, writing.part_bytes)
        self._options = {
            "ServerSideEncryption": writing.server_side_encryption,
            "SSEKMSKeyId": writing.kms_key_id,
            "StorageClass": writing.storage_class,
        }

    def describe(self) -> str:
        """Look at the bucket, write an empty object and delete it."""
        with translated():
            bucket, _, prefix = self._root.partition("/")
            self._fs.call_s3("head_bucket", Bucket=bucket)
            key = f"{prefix}/{CHECK}".lstrip("/")
            self._fs.call_s3("put_object", Bucket=bucket, Key=key, Body=b"")
            self._fs.call_s3("delete_object", Bucket=bucket, Key=key)
        return "S3 bucket, can be written"

    def put(self, path: Path, key: str, unit: str, digests: Digests, metadata: Mapping[str, str]) -> None:  # noqa: ARG002  # an object is whole by itself
        """Store a local file, whole or not at all, in place of what stands there."""
        options: dict[str, Any] = {name: value for name, value in self._options.items() if value}
        if metadata:
            options["Metadata"] = dict(metadata)
        if digests.size < 2 * self.part_bytes:
            options["ContentMD5"] = base64.b64encode(digests.md5).decode()
        with translated():
            self._fs.put_file(
                str(path), self._path(key), chunksize=self.part_bytes, max_concurrency=1,
                ContentType=media_type(key), **options,
            )  # fmt: skip

    def _pages(self, prefix: str, delimiter: str) -> Iterator[tuple[list[Listed], list[str]]]:
        bucket, _, _ = self._root.partition("/")
        more: dict[str, str] = {}
        while True:
            page = self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter=delimiter, **more)
            files = [
                self._listed(each["Key"], each["Size"], f"{each.get('ETag', '')}:{each['LastModified'].timestamp()}")
                for each in page.get("Contents", ())
            ]
            yield files, [each["Prefix"] for each in page.get("CommonPrefixes", ())]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _fingerprint(self, info: Mapping[str, Any]) -> str:
        return str(info.get("ETag", "")).strip('"').lower()

    def _fingerprints(self, digests: Digests) -> tuple[str, ...]:
        return (digests.md5.hex(), digests.etag)


@contextmanager
def opened(settings: StoreSettings, writing: Writing) -> Iterator[S3Store]:
    """Connect, and close every connection in the end."""
    config = {
        "connect_timeout": min(settings.timeout_s, 10),
        "read_timeout": settings.timeout_s,
        "retries": {"max_attempts": 0},  # s3fs tries again by itself
        # Many stores that speak S3 do not know the checksums that botocore adds by itself; ours are Content-MD5.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3": {"addressing_style": settings.addressing},
    }
    client = {"region_name": settings.region, "verify": str(settings.ca_file) if settings.ca_file else None}
    fs = S3FileSystem(
        anon=settings.anonymous,
        key=settings.access_key_id,
        secret=settings.secret_access_key(),
        endpoint_url=str(settings.endpoint_url).rstrip("/") if settings.endpoint_url else None,
        config_kwargs=config,
        client_kwargs={name: value for name, value in client.items() if value},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    fs.retries = _TRIES
    try:
        yield S3Store(fs, settings.root, writing)
    finally:
        creator = getattr(fs, "_s3creator", None)
        if creator is not None:
            S3FileSystem.close_session(fs.loop, creator)
