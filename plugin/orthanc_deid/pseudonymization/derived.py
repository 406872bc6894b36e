"""derived: pseudonyms made of the project's key and the patient's identity; nothing is asked, nothing stored."""

import collections.abc

from ..confidentiality.pseudonyms import Pseudonyms
from ..settings.pseudonyms import DerivedPseudonyms
from .base import Asked, Given, Missing, Tools


class Derived:
    """The same patient, key and format give the same pseudonym on every machine."""

    steady = True
    per_study = False

    def __init__(self, settings: DerivedPseudonyms, tools: Tools) -> None:
        self._pseudonyms = Pseudonyms(tools.key, settings.format, tools.project)

    def give(self, asked: collections.abc.Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        return [Given(self._pseudonyms.patient_id(each.patient)) for each in asked]

    preview = give
