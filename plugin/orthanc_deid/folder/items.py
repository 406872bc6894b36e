"""Which files are the same instance, what of them is done, and how they are cut into chunks."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..errors import ConfigurationError
from .instances import Item
from .journal import Digests, Entry
from .scan import Header, Scanned

AT_ONCE, BYTES_AT_ONCE = 16, 2**26
ALONE = 2**28  # bytes; larger instances go one at a time, since each needs several times its size of memory


def demand_unchanged(found: Scanned, entries: Sequence[Entry], digests: Digests) -> None:
    """Compare the sources of what was done with what is here.

    Raises
    ------
    ConfigurationError
        One of them is not what it was: its output would stay, or be another one.
    """
    here = {digests.source(header.source): digests.stamp(header.source) for header in found.headers}
    changed = sum(here.get(entry.source) != entry.stamp for entry in entries)
    if changed:
        raise ConfigurationError(
            f"{changed} of the {len(entries)} files that were de-identified already were changed, moved or removed"
            " since: bring them back, choose another OUT, or empty this one to start again"
        )


def of(found: Scanned, entries: Sequence[Entry], digests: Digests, known: dict[str, str]) -> list[Item]:
    """Bring the files of each SOP Instance UID together; `known` holds the digest of what is known of each study.

    An output of an earlier run counts where its file is still the first of its UID and no more is known since.
    """
    before = {entry.source: entry for entry in entries}
    groups: dict[str, list[Header]] = {}
    for header in found.headers:
        groups.setdefault(header.SOPInstanceUID or f"none in {header.source}", []).append(header)
    items = []
    for headers in groups.values():
        entry = before.get(digests.source(headers[0].source))
        is_same = entry is not None and entry.known == known[headers[0].StudyInstanceUID]
        items.append(Item(tuple(headers), entry.made if entry and is_same else None))
    return sorted(items, key=lambda item: (item.headers[0].StudyInstanceUID, item.headers[0].source))


def parts(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut into chunks of one study each, bounded in number and bytes."""
    for _study, group in groupby(items, lambda item: item.headers[0].StudyInstanceUID):
        part: list[Item] = []
        size = 0
        for item in group:
            if part and (len(part) == AT_ONCE or size + item.size > BYTES_AT_ONCE):
                yield part
                part, size = [], 0
            part.append(item)
            size += item.size
        yield part
