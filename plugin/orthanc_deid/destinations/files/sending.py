"""Sends the items of a shipment to a store of files, writes the manifest last, and confirms each of them."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...errors import NotFound, Rejected, Retriable
from ...settings.files import Files
from ...stores.store import Digests, Stat, Store, digest, hash_of
from ..base import Receipt, Shipment
from ..work import local_disk
from . import manifest
from .contents import Contents, Item
from .fetching import fetched
from .manifest import Entry

BEGUN = "begun"  # in place of a fingerprint: the name is ours, what stands there may be incomplete
_MANY = 16  # files in a folder from which on a listing costs less than asking for each
_LONGEST = 160  # characters of a fingerprint that are noted
_ARCHIVES = frozenset({"zip", "tar.gz"})
_CONVERTED = frozenset({"nifti", "bids", "etl", "dicomdir", "png", "jpeg"})


class Sending:
    """One shipment and the store that it goes to."""

    def __init__(self, shipment: Shipment, settings: Files, store: Store) -> None:
        self._shipment = shipment
        self._settings = settings
        self._store = store
        self._contents = Contents(shipment, settings)
        self._new = frozenset(shipment.new)
        self._own: frozenset[str] = frozenset()  # names that a manifest of this study has
        self._listed: tuple[str, Mapping[str, Stat]] = ("", {})
        self._end = time.monotonic() + shipment.seconds

    # Sending.

    def send(self, metadata: Callable[[Item], Mapping[str, str]]) -> None:
        """Send what is not there, then the manifest; a second time changes nothing."""
        before = self._manifest_before()
        left = {entry.key: entry for entry in before or self._manifest_there()}
        self._own = frozenset(left)
        for item in self._contents.items(_archived(before)):
            if not self._is_there(item):
                self._send(item, metadata(item))
            left.pop(item.key, None)
        self._remove_stale(before, left)
        self._write_manifest(before)
        self._store.publish()
        self._shipment.remarks.extend(self._contents.remarks)

    def _send(self, item: Item, metadata: Mapping[str, str]) -> None:
        if time.monotonic() > self._end:
            raise Retriable(f"sending did not end in {self._shipment.seconds:.0f} s; what has arrived stays")
        if item.path is None and item.instance is None and not item.members:
            raise Rejected("an archive cannot be made again: instances that belong into it have left Orthanc")
        path = item.path or fetched(self._shipment, item)
        try:
            self._put(path, item, metadata)
        finally:
            if path != item.path:
                path.unlink(missing_ok=True)

    def _put(self, path: Path, item: Item, metadata: Mapping[str, str]) -> None:
        digests = digest(path, self._store.part_bytes)
        journal = self._shipment.journal
        if not item.ours and journal.get(item.key) is None:
            self._refuse_a_stranger(item.key, digests)
            journal.put(item.key, Receipt(digests.size, digests.sha256, BEGUN))
        self._store.put(path, item.key, item.unit, digests, metadata)
        found = self._store.stat(item.key)
        if found is None or found.size != digests.size:
            raise Retriable("what has arrived is not as long as what was sent")
        if self._store.agrees(digests, found) is False:
            self._compare(item.key, Receipt(digests.size, digests.sha256))
        for name in _members_key(item):
            journal.put(name, Receipt(len(item.members), self._state_of(item.members)))
        journal.put(item.key, Receipt(digests.size, digests.sha256, _remote(digests, found)))
        self._shipment.pace.sent(digests.size)

    def _refuse_a_stranger(self, key: str, digests: Digests) -> None:
        found = self._store.stat(key)
        if found is None or key in self._own or self._settings.existing == "replace":
            return
        if found.size == digests.size and hash_of(self._store.read(key)) == (digests.size, digests.sha256):
            return
        raise Rejected("a file of another study has the name already: put {StudyInstanceUID} into `names`")

    # The manifest.

    def _manifest_before(self) -> list[Entry]:
        """Return what the manifest of an earlier run says, where it is the one that we wrote."""
        receipt = self._shipment.journal.get(self._contents.manifest().key)
        return self._manifest_there(receipt.sha256) if receipt else []

    def _manifest_there(self, sha256: str | None = None) -> list[Entry]:
        """Return what the manifest at the destination says; nothing where it is another than the one with that hash.

        After a study was de-identified anew no receipt is left, and the manifest there tells which names are ours.
        """
        key = self._contents.manifest().key
        if self._store.stat(key) is None:
            return []
        text = b"".join(self._store.read(key))
        if sha256 not in {None, hashlib.sha256(text).hexdigest()}:
            return []
        try:
            return manifest.read(text)
        except ValueError:
            return []

    def _write_manifest(self, before: list[Entry]) -> None:
        path = self._shipment.work / "manifest.json"
        item = self._contents.manifest()
        first = next(self._contents.instances(), (None, {}))[0]
        try:
            with local_disk():
                manifest.write(path, manifest.head(self._shipment, item.values, first), self._entries(before))
            receipt = self._shipment.journal.get(item.key)
            there = before and receipt and receipt.sha256 == digest(path, self._store.part_bytes).sha256
            if not there:
                self._put(path, item, {})
        finally:
            path.unlink(missing_ok=True)

    def _entries(self, before: list[Entry]) -> Iterator[Entry]:
        versions = {entry.key: entry for entry in before}
        for item in self._contents.items(_archived(before)):
            receipt = self._shipment.journal.get(item.key)
            if receipt is None or receipt.remote == BEGUN:
                raise Retriable("a file was not noted as sent")
            known = versions.get(item.key)
            same = known is not None and known.sha256 == receipt.sha256
            version = known.version if known and same else self._shipment.version
            if item.kind in _ARCHIVES:
                version = item.version
            instances = tuple(sorted(item.members.values())) or ((item.instance,) if item.instance else ())
            if not instances and known:
                instances = known.instances
            yield Entry(item.key, item.kind, receipt.size, receipt.sha256, version, instances)
        yield from self._gone(before)

    def _gone(self, before: list[Entry]) -> list[Entry]:
        """Return what was sent of instances that our Orthanc does not have any more."""
        if not before or "dicom" not in self._settings.content:
            return []
        wanted = set(self._shipment.all)
        here = {instance for instance, _ in self._contents.instances()}
        return [
            e for e in before if e.kind == "dicom" and wanted.issuperset(e.instances) and here.isdisjoint(e.instances)
        ]

    def _remove_stale(self, before: list[Entry], left: Mapping[str, Entry]) -> None:
        """Delete what the study has no more: conversions of a series that has changed, all from before it was anew.

        A file whose name does not hold the study's UID, and that is not what the manifest says, may be another's.
        """
        kept = {entry.key for entry in before if entry.kind not in _CONVERTED}
        uid = self._contents.study.get("StudyInstanceUID") or "none"
        for key, entry in left.items():
            if key in kept or self._store.stat(key) is None:
                continue
            if uid in key or hash_of(self._store.read(key)) == (entry.size, entry.sha256):
                self._store.remove(key)

    # Confirming.

    def confirm(self) -> int:
        """Ask for each file; answer how many instances are there.

        Raises
        ------
        Retriable
            Something is missing or differs.
        """
        before = self._manifest_before()
        if not before and self._shipment.all:
            raise Retriable("the manifest is not at the destination")
        held: set[str] = set()
        expected = there = 0
        for key, instances in self._expected(before):
            expected += 1
            if self._is_confirmed(key):
                there += 1
                held.update(instances)
        if there != expected:
            raise Retriable(f"{there} of {expected} files are at the destination as they were sent")
        if set(self._settings.content) & {"dicom", "zip", "tar.gz"} and not held.issuperset(self._shipment.all):
            count = len(held.intersection(self._shipment.all))
            raise Retriable(f"{count} of {len(self._shipment.all)} instances are at the destination")
        return len(self._shipment.all)

    def _expected(self, before: list[Entry]) -> Iterator[tuple[str, tuple[str, ...]]]:
        known = {entry.key: entry.instances for entry in before}
        for item in self._contents.items(_archived(before)):
            if not known.get(item.key) and (item.instance or item.members):
                yield item.key, ()  # not in the manifest
            else:
                yield item.key, known.get(item.key, ())
        for entry in self._gone(before):
            yield entry.key, entry.instances

    def _is_confirmed(self, key: str) -> bool:
        receipt = self._shipment.journal.get(key)
        if receipt is None or not self._matches(receipt, self._stat(key)):
            return False
        if self._settings.read_back == "hash":
            return hash_of(self._store.read(key)) == (receipt.size, receipt.sha256)
        return True

    # What is there.

    def _is_there(self, item: Item) -> bool:
        receipt = self._shipment.journal.get(item.key)
        if receipt is None:
            return False
        return self._is_same(item, receipt) and self._matches(receipt, self._stat(item.key))

    def _is_same(self, item: Item, receipt: Receipt) -> bool:
        """Answer whether what was sent is what would be sent now: a study can be de-identified anew."""
        if item.path:
            return digest(item.path, self._store.part_bytes).sha256 == receipt.sha256
        if item.instance in self._new:
            return receipt.remote.startswith(f"{self._md5(item.instance)} ")
        if self._new.isdisjoint(item.members.values()):
            return True
        held = self._shipment.journal.get(f"members {item.key}")
        return held is not None and held.sha256 == self._state_of(item.members)

    def _md5(self, instance: str) -> str:
        """Return the MD5 of an instance's file; Orthanc remembers it."""
        try:
            return self._shipment.orthanc.call("GET", f"/instances/{instance}/attachments/dicom/md5").decode("ascii")
        except NotFound:
            return "unknown"

    def _state_of(self, members: Mapping[str, str]) -> str:
        state = hashlib.sha256()
        for name, instance in sorted(members.items()):
            state.update(f"{name} {self._md5(instance)}\n".encode())
        return state.hexdigest()

    def _matches(self, receipt: Receipt, found: Stat | None) -> bool:
        if found is None or receipt.remote == BEGUN or found.size != receipt.size:
            return False
        return receipt.remote.partition(" ")[2] == found.fingerprint[:_LONGEST]

    def _stat(self, key: str) -> Stat | None:
        """Ask the store; a folder of this study or series is listed once, as its files come one after the other."""
        folder, _, _ = key.rpartition("/")
        uid = self._contents.study.get("StudyInstanceUID", "")
        if len(self._shipment.all) < _MANY or not uid or uid not in folder:
            return self._store.stat(key)
        if self._listed[0] != folder:
            self._listed = folder, self._store.listing(folder)
        return self._listed[1].get(key)

    def _compare(self, key: str, receipt: Receipt) -> None:
        if hash_of(self._store.read(key)) != (receipt.size, receipt.sha256):
            raise Retriable("what has arrived is not what was sent")


def _archived(before: list[Entry]) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for entry in before:
        if entry.kind in _ARCHIVES:
            found[entry.version] = found.get(entry.version, frozenset()) | set(entry.instances)
    return found


def _members_key(item: Item) -> tuple[str, ...]:
    return (f"members {item.key}",) if item.members else ()


def _remote(digests: Digests, found: Stat) -> str:
    """Return what is noted of a file besides size and SHA-256: its MD5, and what the store tells of its content."""
    return f"{digests.md5.hex()} {found.fingerprint[:_LONGEST]}"
