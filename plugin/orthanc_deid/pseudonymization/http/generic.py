"""Any service that a template can ask and JSON pointers can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Rejected
from ...settings.pseudonym_http import HttpPseudonyms
from ...web.pointer import ABSENT, at, escaped
from ...web.session import Answer
from ...web.template import fill, filled
from ..base import Asked, Given, Missing
from .answers import NOT_KNOWN, accession, days, json_of, label
from .client import Client
from .study_fields import study_fields


class GenericService:
    """Asked once for each study; a pointer that leads nowhere is no answer."""

    at_once = 1

    def __init__(self, settings: HttpPseudonyms, project: str) -> None:
        self._settings, self._project = settings, project

    @property
    def per_study(self) -> bool:
        """Tell whether it gives what is of a study."""
        return bool(self._settings.session or self._settings.accession)

    def ask(self, client: Client, asked: Sequence[Asked]) -> list[Given | Missing]:
        """Answer for each."""
        return [self._one(client, study_fields(each, self._project)) for each in asked]

    def _one(self, client: Client, values: Mapping[str, str]) -> Given | Missing:
        answer = client.ask("", filled(self._settings.body, values))
        if answer.status in self._settings.missing.codes:
            return Missing(NOT_KNOWN)
        return self._given(answer, values)

    def _given(self, answer: Answer, values: Mapping[str, str]) -> Given | Missing:
        document = json_of(answer)
        keys = {name: escaped(value) for name, value in values.items()}

        def found(pointer: str | None, what: str) -> Any:  # noqa: ANN401  # JSON
            value = at(document, fill(pointer or "", keys))
            if value is ABSENT:
                raise Rejected(f"the answer holds nothing where `{what}` points to")
            return value

        if self._is_missing(document, keys):
            return Missing(NOT_KNOWN)
        own = self._settings
        return Given(
            label(found(own.pseudonym, "pseudonym"), "pseudonym"),
            days(found(own.offset_days, "offset_days")) if own.offset_days else None,
            label(found(own.subject, "subject"), "subject") if own.subject else "",
            label(found(own.session, "session"), "session") if own.session else "",
            accession(found(own.accession, "accession")) if own.accession else "",
        )

    def _is_missing(self, document: Any, keys: Mapping[str, str]) -> bool:  # noqa: ANN401  # JSON
        rule = self._settings.missing
        if rule.pointer is None:
            return False
        value = at(document, fill(rule.pointer, keys))
        return bool(value == rule.equals) and isinstance(value, bool) == isinstance(rule.equals, bool)
