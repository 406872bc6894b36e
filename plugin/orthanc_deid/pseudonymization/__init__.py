"""Where pseudonyms come from: one module per kind of source, and the table that names them."""

from collections.abc import Callable, Mapping
from typing import Any

from . import derived, sequence
from .base import Asked, Given, Missing, PseudonymSource, Tools

# The next kind is one more row, and one more member of settings.pseudonyms.AnyPseudonyms.
KINDS: Mapping[str, Callable[[Any, Tools], PseudonymSource]] = {
    "derived": derived.Derived,
    "sequence": sequence.Sequence,
}

__all__ = ["KINDS", "Asked", "Given", "Missing", "PseudonymSource", "Tools"]
