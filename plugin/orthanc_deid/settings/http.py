"""Settings of the kind `http`."""

from typing import Literal

from pydantic import Field

from .delivery import Delivery
from .model import WebAddress


class Http(Delivery):
    """Any HTTP interface that a template can describe."""

    kind: Literal["http"] = Field(description="what the destination is")
    url: WebAddress = Field(description="where requests go")
