"""Where pseudonyms come from: one module per kind of source, and the table that names them."""

from collections.abc import Callable, Mapping
from typing import Any

from . import derived, file, sequence, tag
from .base import Asked, Given, Missing, PseudonymSource, Tools
from .http.source import HttpSource

# The next kind is one more row, and one more member of settings.pseudonyms.AnyPseudonyms.
KINDS: Mapping[str, Callable[[Any, Tools], PseudonymSource]] = {
    "derived": derived.Derived,
    "sequence": sequence.Sequence,
    "http": HttpSource,
    "file": file.File,
    "tag": tag.Tag,
}

__all__ = ["KINDS", "Asked", "Given", "Missing", "PseudonymSource", "Tools"]
