"""tag: the pseudonym stands in the study itself, where something before has put it."""

import collections.abc

from pydicom.datadict import tag_for_keyword

from ..confidentiality.pseudonyms import normal
from ..errors import ConfigurationError
from ..settings.pseudonym_tag import TagPseudonyms
from . import fitting
from .base import Asked, Given, Missing, Tools

EMPTY = Missing("the study holds no pseudonym where the configuration says that one is")
ITSELF = Missing("the pseudonym that the study holds is its PatientID")


class Tag:
    """Reads the first instance of each study."""

    steady = False
    per_study = False

    def __init__(self, settings: TagPseudonyms, tools: Tools) -> None:
        if settings.attribute and tag_for_keyword(settings.attribute) is None:
            where = f"project {tools.project}: pseudonyms: attribute"
            raise ConfigurationError(f"{where}: {settings.attribute} is not a keyword of the standard")
        self._settings = settings

    def give(self, asked: collections.abc.Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        return [self._give(each) for each in asked]

    preview = give

    def _give(self, asked: Asked) -> Given | Missing:
        pseudonym = asked.read(self._settings.pseudonym_name).strip()
        if not pseudonym:
            return EMPTY
        if normal(pseudonym) == normal(asked.patient.patient_id):
            return ITSELF
        if wrong := fitting.fault(pseudonym):
            return Missing(f"the pseudonym that the study holds {wrong}")
        try:
            return Given(pseudonym, self._days(asked))
        except ValueError as error:
            return Missing(f"the day shift that the study holds {error}")

    def _days(self, asked: Asked) -> int | None:
        name = self._settings.day_shift_name
        text = asked.read(name).strip() if name else ""
        return fitting.days(text) if text else None
