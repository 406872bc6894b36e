"""What a person has asked for, as it stands in `run.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .hook import Hook


@dataclass(frozen=True)
class Options:
    """Of one run; paths are absolute."""

    list: str
    source: str
    most: int  # studies
    modalities: tuple[str, ...]  # in capitals; none: any
    practice: bool = False
    no_push: bool = False
    project: str = ""
    hook_file: str = ""
    hook_python: str = ""
    hook_timeout_s: float = 3600.0

    @property
    def hook(self) -> Hook | None:
        """The hook that is to be asked."""
        if not self.hook_file:
            return None
        return Hook(Path(self.hook_file), self.hook_python, self.hook_timeout_s)

    @property
    def pushes(self) -> bool:
        """Whether anything leaves."""
        return not (self.practice or self.no_push)

    def values(self) -> dict[str, Any]:
        """Return them as JSON has them."""
        return asdict(self)


def options(values: Mapping[str, Any]) -> Options:
    """Read what `values` has written."""
    return Options(**{**values, "modalities": tuple(values["modalities"])})
