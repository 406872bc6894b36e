"""Digests of a file, and whether they are those that Flywheel names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_PIECE_BYTES = 2**20
_SHA384, _SHA256, _MD5 = 96, 64, 32  # hexadecimal digits


@dataclass(frozen=True)
class Digests:
    """Of one file; hexadecimal, empty where it was not kept."""

    size: int  # bytes
    sha256: str
    sha384: str
    md5: str

    def agree(self, size: int | None, digest: str | None) -> bool | None:
        """Compare with what Flywheel says of a file; None: the size is right and the algorithm unknown.

        Flywheel writes `v0-sha384-HEX` or a plain digest; the algorithm of a plain one is told by its length.
        """
        if size != self.size:
            return False
        plain = (digest or "").rpartition("-")[2].lower()
        ours = {_SHA384: self.sha384, _SHA256: self.sha256, _MD5: self.md5}.get(len(plain))
        if not ours or any(letter not in "0123456789abcdef" for letter in plain):
            return None
        return plain == ours


def read(path: Path) -> Digests:
    """Read a file once, piece by piece."""
    sha256, sha384 = hashlib.sha256(), hashlib.sha384()
    md5 = hashlib.md5(usedforsecurity=False)
    size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            size += len(piece)
            for each in (sha256, sha384, md5):
                each.update(piece)
    return Digests(size, sha256.hexdigest(), sha384.hexdigest(), md5.hexdigest())
