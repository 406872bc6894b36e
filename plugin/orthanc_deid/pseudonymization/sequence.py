"""sequence: P0001, P0002 ... in the order in which patients come, without a gap."""

import collections.abc

from ..database.crosswalk import Crosswalk, Identity, Known
from ..errors import ConfigurationError
from ..settings.pseudonyms import SequencePseudonyms
from .base import Asked, Given, Missing, Tools


class Sequence:
    """Counts in the crosswalk: a number is taken in the transaction that gives it to a patient."""

    steady = True
    per_study = False

    def __init__(self, settings: SequencePseudonyms, tools: Tools) -> None:
        self._settings, self._tools = settings, tools

    def give(self, asked: collections.abc.Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each, with a new number for whoever has none."""
        return [self._give(each) for each in asked]

    def preview(self, asked: collections.abc.Sequence[Asked]) -> list[Given | Missing]:
        """Answer what is given already; who is new would get the next number, in the order in which he comes."""
        found = [self._crosswalk.patient(self._tools.project, _identity(each)) for each in asked]
        return [Given(each.pseudonym if each else self._settings.text("+", self._tools.project)) for each in found]

    def _give(self, asked: Asked) -> Given:
        identity = _identity(asked)

        def known(number: int) -> Known:
            return Known(0, identity, self._settings.text(number, self._tools.project))

        return Given(self._crosswalk.count(self._tools.project, identity, known, asked.still).pseudonym)

    @property
    def _crosswalk(self) -> Crosswalk:
        if self._tools.crosswalk is None:
            raise ConfigurationError("pseudonyms of kind sequence are counted by the server: this works without one")
        return self._tools.crosswalk


def _identity(asked: Asked) -> Identity:
    return Identity(asked.patient.issuer, asked.patient.patient_id)
