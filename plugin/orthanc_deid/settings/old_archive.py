"""The configuration file of PACSMAN and PACSIFIER, which knew one archive, as an entry of `sources`."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import ConfigurationError

_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_AE = re.compile(r"[ -\[\]-~]{1,16}")
_PORTS = range(1, 65536)
_LONGEST_WAIT_S = 86400
# Optional keys of its last versions, and why nothing is made of them.
_ELSEWHERE = {
    **dict.fromkeys(("karnak_address", "karnak_port", "karnak_aet"), "a destination of kind karnak takes its place"),
    **dict.fromkeys(("pynetdicom_address", "pynetdicom_port", "pynetdicom_aet"), "Orthanc receives by itself"),
}


def _address(value: object) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError("is no name or address of a host, without http:// and without a path")
    return value


def _title(value: object) -> str:
    if not isinstance(value, str) or not _AE.fullmatch(value) or not value.strip():
        raise ValueError("is no AE title: 1 to 16 characters of ASCII, no backslash (PS3.5 6.2)")
    return value.strip()


def _port(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,5}", str(value)) or int(str(value)) not in _PORTS:
        raise ValueError("is no port: a whole number from 1 to 65535")
    return int(str(value))


def _size(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)) or int(str(value)) < 1:
        raise ValueError("is no number of series: a whole number from 1")
    return int(str(value))


def _seconds(value: object) -> float:
    known = not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", str(value))
    if not known or float(str(value)) > _LONGEST_WAIT_S:
        raise ValueError(f"is no time: seconds from 0 to {_LONGEST_WAIT_S}")
    return float(str(value))


# Old key -> (the key of a source, how it is read, whether it must be there).
_KEYS: Mapping[str, tuple[str, Callable[[object], Any], bool]] = {
    "server_address": ("host", _address, True),
    "port": ("port", _port, True),
    "server_AET": ("ae", _title, True),
    "AET": ("local_ae", _title, True),
    "move_AET": ("move_aet", _title, False),
    "move_port": ("move_port", _port, False),
    "batch_size": ("batch_size", _size, False),
    "batch_wait_time": ("batch_wait_s", _seconds, False),
}
_SPELLINGS = {"server_ip": "server_address"}  # PACSMAN's


def source_of(text: str, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return an entry of `sources` of that name, and remarks on what has changed.

    Raises
    ------
    ConfigurationError
        `key: message`, a line for each fault.
    """
    old = _parsed(text)
    faults: list[str] = []
    found: dict[str, Any] = {}
    for key, value in old.items():
        try:
            found |= _read(key, value)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    faults += _missing(old)
    if faults:
        raise ConfigurationError("\n".join(faults))
    remarks = list(_remarks(old, found))
    return {"kind": "pacs", "name": name, **_moved(found)}, remarks


def _parsed(text: str) -> dict[str, Any]:
    try:
        old = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigurationError(f"{where}is not JSON" if where or not str(error) else str(error)) from None
    if not isinstance(old, dict):
        raise ConfigurationError('is no object: {"server_address": ..., "port": ...}')
    return old


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]}: stands twice")
    return dict(pairs)


def _read(key: str, value: object) -> dict[str, Any]:
    if key in _ELSEWHERE:
        return {}
    spelt = _SPELLINGS.get(key, key)
    if spelt not in _KEYS:
        raise ValueError(f"unknown key{_nearest(key)}")
    ours, read, _ = _KEYS[spelt]
    return {ours: read(value)}


def _nearest(key: str) -> str:
    known = {each.lower(): each for each in (*_KEYS, *_SPELLINGS)}
    close = difflib.get_close_matches(key[:64].lower(), known, n=1)
    return f" (did you mean {known[close[0]]}?)" if close else f" (known: {', '.join(known.values())})"


def _missing(old: Mapping[str, Any]) -> Iterator[str]:
    spelt = [_SPELLINGS.get(key, key) for key in old]
    for key, (_, _, needed) in _KEYS.items():
        if needed and key not in spelt:
            yield f"{key}: is missing"
        if spelt.count(key) > 1:
            yield f"{key}: stands beside server_ip: keep one of them"
    if "batch_wait_time" in old and "batch_size" not in old:
        yield "batch_wait_time: needs batch_size"


def _moved(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is no key of a source.

    PACSIFIER's `--save` had the archive send to AET at move_port, where Orthanc listens now; move_AET was the other
    node of its `--move`, to which nothing may go unasked.
    """
    kept = {key: value for key, value in found.items() if key not in ("move_aet", "move_port")}
    return {**kept, "move_to": found["local_ae"]}


def _remarks(old: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    if "move_port" in found:
        yield "move_port: is the port at which Orthanc receives, DicomPort in orthanc.json; the archive must know it"
    yield "AET: the archive must know it as the title of this Orthanc; it is local_ae and move_to"
    if found.get("move_aet", found["local_ae"]) != found["local_ae"]:
        yield "move_AET: is not taken, as `--move` alone sent to it: name it as the target where you want that"
    yield from (f"{key}: is not taken: {why}" for key, why in _ELSEWHERE.items() if key in old)
