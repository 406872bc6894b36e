"""Asks a service for pseudonyms: a few quick tries, then the study waits; whatever cannot be believed is missing."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from ...errors import ConfigurationError, Rejected, Retriable
from ...settings.pseudonym_http import HttpPseudonyms
from ..base import Asked, Given, Missing, Tools
from .answers import believed
from .client import Client
from .dasher import DasherService
from .deid_api import DeidApiService
from .generic import GenericService
from .gpas import GpasService
from .mainzelliste import MainzellisteService

_FIRST_WAIT_S = 0.2  # before the second try; twice as long before each further one
_ModelT = TypeVar("_ModelT", bound=BaseModel)
_LONGEST_WAIT_S = 1.0  # a service that asks for more is not waited for here: the study is


class Service(Protocol):
    """How one kind of service is asked."""

    @property
    def per_study(self) -> bool:
        """Tell whether it has to be asked for each study."""

    @property
    def at_once(self) -> int:
        """Studies in one conversation."""

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each study, in order; Rejected is of all of them."""


SERVICES: Mapping[str | None, Callable[[HttpPseudonyms, str], Service]] = {
    None: GenericService,
    "deid-api": DeidApiService,
    "dasher": DasherService,
    "gpas": GpasService,
    "mainzelliste": MainzellisteService,
}


class HttpSource:
    """One service of one project."""

    steady = True

    def __init__(self, settings: HttpPseudonyms, tools: Tools) -> None:
        self._settings = _rooted(settings, tools.folder)
        self._service = SERVICES[settings.preset](self._settings, settings.project or tools.project)

    @property
    def per_study(self) -> bool:
        """Tell whether it gives labels or accession numbers."""
        return self._service.per_study

    def give(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Ask the service; it may make a pseudonym for who has none.

        Raises
        ------
        Retriable
            It is away, too slow, overloaded, or something else answers in its place.
        ConfigurationError
            It refuses the log-in, redirects, or TLS does not work; a file or secret is missing.
        """
        size = self._service.at_once
        parts = [asked[i : i + size] for i in range(0, len(asked), size)]
        return [each for part in parts for each in self._part(part)]

    # It has no way to ask without making: see docs/pseudonym-services.md.
    preview = give

    def _part(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        try:
            found = self._tried(asked)
        except Rejected as error:
            if len(asked) == 1:
                return [Missing(f"pseudonym service: {error}")]
            return [each for one in asked for each in self._part([one])]  # the fault may be of one of them
        except Retriable as error:
            raise Retriable(f"pseudonym service: {error}", after_s=error.after_s) from None
        except ConfigurationError as error:
            raise ConfigurationError(f"pseudonym service: {error}") from None
        return [believed(one, given) for one, given in zip(asked, found, strict=True)]

    def _tried(self, asked: Sequence[Asked]) -> list[Given | Missing]:
        end, wait = time.monotonic() + self._settings.total_s, _FIRST_WAIT_S
        for number in range(1, self._settings.tries + 1):
            try:
                with Client(self._settings, end) as client:
                    return self._service.ask(client, asked)
            except Retriable as error:
                wait = max(wait, error.after_s)
                if number == self._settings.tries or wait > _LONGEST_WAIT_S or time.monotonic() + wait >= end:
                    raise
            time.sleep(wait)
            wait *= 2
        raise Retriable("it was not asked")  # tries is at least 1


def _rooted(model: _ModelT, folder: Path) -> _ModelT:
    """Return settings whose relative paths begin at a folder."""
    return model.model_copy(update={name: _value(getattr(model, name), folder) for name in type(model).model_fields})


def _value(value: Any, folder: Path) -> Any:  # noqa: ANN401  # any setting
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, BaseModel):
        return _rooted(value, folder)
    return {key: _value(each, folder) for key, each in value.items()} if isinstance(value, dict) else value
