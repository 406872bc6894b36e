"""Whether a file is whole: by its name, and by having been the same for a while."""

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..stores.store import Listed

_WATCHED_MOST = 200_000  # files that are watched at once, some 20 MB; the rest have their turn later


def is_ignored(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether the name of a file or folder says that it is not to be looked at yet."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class Settling:
    """Remembers since when each file is as it is; hashes alone, since a folder may hold very many."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._since: dict[int, float] = {}
        self._seen: dict[int, float] = {}

    def begin(self) -> None:
        """Begin to look at everything once more."""
        self._seen = {}

    def is_settled(self, item: Listed) -> bool:
        """Tell whether a file has been the same for long enough."""
        if not self._settle_s:
            return True
        which, now = hash((item.key, item.stamp)), time.monotonic()
        since = self._since.get(which, now)
        if now - since >= self._settle_s:
            return True
        if len(self._seen) < _WATCHED_MOST:
            self._seen[which] = since
        return False

    def end(self) -> float | None:
        """End the look; return the seconds until the next file may be settled, None: nothing is watched."""
        self._since, self._seen = self._seen, {}
        if not self._since:
            return None
        return max(0.0, min(self._since.values()) + self._settle_s - time.monotonic())
