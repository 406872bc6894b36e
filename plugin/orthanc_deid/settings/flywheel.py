"""Settings of the kind `flywheel`."""

from typing import Literal

from pydantic import Field

from .delivery import Delivery


class Flywheel(Delivery):
    """A Flywheel site, by its own SDK."""

    kind: Literal["flywheel"] = Field(description="what the destination is")
