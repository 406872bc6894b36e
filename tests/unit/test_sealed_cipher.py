"""Fields that one key opens, in one place."""

import random
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_deid.errors import ConfigurationError
from orthanc_deid.sealed import Cipher

CONTEXT = b"trial\x001\x000\x00"
UIDS = ["1.2.826.0.1.3680043.10.1337.1.1", "2.25.1"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(JSON | st.lists(st.text('0123456789.,"][ ', max_size=64), max_size=3))
def test_any_value_comes_back_as_it_was(value: object) -> None:
    cipher = Cipher(bytes(32))
    assert cipher.open(cipher.close(value, CONTEXT), CONTEXT) == value


def test_a_pair_of_uids_takes_half_the_bytes_of_its_text() -> None:
    text = f'["{UIDS[0]}","{UIDS[1]}"]'
    assert len(Cipher(bytes(32)).close(UIDS, CONTEXT)) == 28 + (len(text) + 1) // 2


def test_the_same_value_is_never_the_same_text() -> None:
    cipher = Cipher(bytes(32))
    assert len({cipher.close(UIDS, CONTEXT) for _ in range(100)}) == 100


def test_another_key_another_place_or_a_changed_bit_is_refused() -> None:
    cipher = Cipher(bytes(32))
    sealed = cipher.close(UIDS, CONTEXT)
    wrong = [(Cipher(secrets.token_bytes(32)), sealed, CONTEXT), (cipher, sealed, CONTEXT + b"\x00")]
    wrong += [(cipher, sealed[:length], CONTEXT) for length in range(len(sealed))]
    for _ in range(200):
        changed = bytearray(sealed)
        changed[random.randrange(len(sealed))] ^= 1 << random.randrange(8)
        wrong.append((cipher, bytes(changed), CONTEXT))
    for by, text, context in wrong:
        with pytest.raises(ConfigurationError, match="a row of the crosswalk does not open") as caught:
            by.open(text, context)
        assert UIDS[0] not in str(caught.value)
