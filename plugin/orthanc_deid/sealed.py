"""What must be kept and holds an identity: digests to find it by, and texts that only the key opens.

Queries of a batch, pseudonyms of a list and missing UIDs stand in the database in this form alone.
"""

import base64
import hmac
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import ConfigurationError

_DIGEST = 16  # bytes
_NONCE, _TAG = 12, 16  # bytes, NIST SP 800-38D 8.2.2
UNOPENED = "a row of the crosswalk does not open: it was changed or moved, or the key is another one"


class Seal:
    """Made of the master key; what one key sealed no other opens."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._fernet = Fernet(base64.urlsafe_b64encode(hmac.digest(master, b"orthanc-deid\x00seal", "sha256")))

    def digest(self, kind: str, text: str) -> str:
        """Return 32 hexadecimal digits that stand for a value of a kind, with outer blanks and padding left off."""
        data = f"orthanc-deid\x00{kind}\x00{text.strip(chr(0) + ' ')}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._master, data, "sha256")[:_DIGEST].hex()

    def close(self, value: Any) -> bytes:  # noqa: ANN401  # JSON
        """Return a JSON value encrypted and signed (Fernet: AES-128-CBC, HMAC-SHA-256)."""
        return self._fernet.encrypt(json.dumps(value, separators=(",", ":")).encode())

    def open(self, sealed: bytes) -> Any:  # noqa: ANN401  # JSON
        """Return what was sealed.

        Raises
        ------
        ConfigurationError
            The key is another one, or somebody has changed the text.
        """
        try:
            return json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise ConfigurationError("what the database keeps sealed was sealed with another key") from None


class Cipher:
    """AES-256-GCM of one field; what is encrypted in one place (row, column, project) opens nowhere else."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, value: Any, context: bytes) -> bytes:  # noqa: ANN401  # JSON
        """Return nonce, JSON value and tag: 28 bytes more than the value, of which a list of UIDs takes half."""
        nonce = os.urandom(_NONCE)
        text = json.dumps(value, separators=(",", ":"))
        return nonce + self._cipher.encrypt(nonce, _packed(text), context)

    def open(self, sealed: bytes, context: bytes) -> Any:  # noqa: ANN401  # JSON
        """Return what was encrypted.

        Raises
        ------
        ConfigurationError
            The key is another one, or somebody has changed or moved the text.
        """
        if len(sealed) < _NONCE + _TAG:
            raise ConfigurationError(UNOPENED)
        try:
            return json.loads(_unpacked(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context)))
        except InvalidTag:
            raise ConfigurationError(UNOPENED) from None


# The sixteen characters of a list of UIDs: two in a byte. The last one begins it, so that the first byte is none of
# ASCII, in which all other JSON begins; the blank fills up.
_CHARACTERS = ' 0123456789.",]['
_PACK = str.maketrans(_CHARACTERS, "0123456789abcdef")
_UNPACK = str.maketrans("0123456789abcdef", _CHARACTERS)


def _packed(text: str) -> bytes:
    if not text.startswith("[") or set(text) - set(_CHARACTERS[1:]):
        return text.encode()
    return bytes.fromhex(text.ljust(len(text) + len(text) % 2).translate(_PACK))


def _unpacked(data: bytes) -> str:
    if data[0] >> 4 == _CHARACTERS.index("["):
        return data.hex().translate(_UNPACK).rstrip(" ")
    return data.decode()
