"""Elements of a dataset as bytes: pydicom's own ways convert more than the pass needs."""

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element


def converted(ds: Dataset, raw: DataElement | RawDataElement) -> DataElement:
    """Answer an element with its value converted and leave it in the dataset as it is; raises what pydicom raises."""
    if isinstance(raw, DataElement):
        return raw
    return convert_raw_data_element(raw, encoding=ds.original_character_set, ds=ds)


def put(ds: Dataset, elem: DataElement | RawDataElement) -> None:
    """Set an element as it is; Dataset's own way converts raw private values and costs 4 times as much."""
    ds._dict[elem.tag] = elem  # noqa: SLF001  # no public way leaves the value raw
