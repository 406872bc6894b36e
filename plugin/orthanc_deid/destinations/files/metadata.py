"""Fields at each object, for searches: filled from the de-identified study and one of its instances."""

from collections.abc import Mapping
from string import Formatter

from ...errors import NotFound
from ...formats import names
from ...settings.files import METADATA_FIELDS
from ...stores.store import media_type
from ..base import Shipment
from .contents import Item


class Fields:
    """Fills the templates of the settings."""

    def __init__(self, templates: Mapping[str, str], shipment: Shipment) -> None:
        self._templates = templates
        self._shipment = shipment
        self._wanted = {field for text in templates.values() for _, field, _, _ in Formatter().parse(text) if field}
        self._first: Mapping[str, str] | None = None

    def of(self, item: Item) -> dict[str, str]:
        """Return the fields of one object; of a study in one object, series and instance are the first."""
        values = {**item.values, "ContentType": media_type(item.key)}
        if self._wanted - values.keys():
            values = {**self._instance(), **values}
        return {name: fill(template, values) for name, template in self._templates.items()}

    def _instance(self) -> Mapping[str, str]:
        if self._first is None:
            instances = (*self._shipment.new, *self._shipment.all)[:1]
            self._first = self._tags(instances[0]) if instances else {}
        return self._first

    def _tags(self, instance: str) -> Mapping[str, str]:
        try:
            found = self._shipment.orthanc.get(f"/instances/{instance}/simplified-tags")
        except NotFound:  # it has left our Orthanc
            return {}
        return {field: found[field] for field in self._wanted if isinstance(found.get(field), str)}


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a metadata value: of A-Z, a-z, 0-9, `.`, `_`, `-` alone, as headers and searches take nothing else.

    The media type is ours, and keeps its slash.
    """
    for field in METADATA_FIELDS:
        if f"{{{field}}}" in template:
            value = values.get(field, "")
            template = template.replace(f"{{{field}}}", value if field == "ContentType" else names.part(value))
    return template
