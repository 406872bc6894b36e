"""What a person is to know of conversions that were sent, in words of ours."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from .base import Converted


def of_conversions(kind: str, made: Iterable[Converted], refused: Mapping[str, int]) -> Iterator[str]:
    """Yield why series are left out, and what is to be known of the others."""
    for reason, count in refused.items():
        yield f"{count} series without {kind}: {reason}"
    for remark, count in Counter(remark for each in made for remark in each.remarks).items():
        yield f"{kind} of {count} series: {remark}"
