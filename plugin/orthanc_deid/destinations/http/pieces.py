"""What goes out in one request: decided once and written down before, so that a second try makes the same request."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import NotFound, Rejected
from ...settings.http import Send
from ...settings.http_fields import Level, lists_pictures
from ..base import Journal, Receipt, Shipment
from ..remarks import of_conversions
from ..work import local_disk
from .template import Thing

_AGAIN = "+"  # behind a digest: something of it was sent before with other content


class Study:
    """The output study's instances and the values of their fields, all of them de-identified."""

    def __init__(self, shipment: Shipment) -> None:
        facts = shipment.facts()
        self._study = {"project": shipment.project, **_texts(facts, "PatientMainDicomTags", "MainDicomTags")}
        self._study |= shipment.labels(facts).fields(self._study)
        self._series = {s["ID"]: _texts(s, "MainDicomTags") for s in shipment.orthanc.series(shipment.output)}
        self._instances = {i["ID"]: i for i in shipment.orthanc.instances(shipment.output)}

    def series_of(self, instance: str) -> str:
        """Return the Orthanc id of an instance's series; raise NotFound where the instance is gone."""
        if instance not in self._instances:
            raise NotFound("an instance that is to be sent is no longer in this Orthanc")
        return str(self._instances[instance]["ParentSeries"])

    def values(self, level: Level, instance: str) -> dict[str, str]:
        """Return the values of the study, series or instance that an instance belongs to."""
        values = dict(self._study)
        if level != "study":
            values |= self._series[self.series_of(instance)]
        if level == "instance":
            values |= _texts(self._instances[instance], "MainDicomTags")
        return values

    def units(self, level: Level, instances: Sequence[str]) -> list[list[str]]:
        """Part instances by study, series or instance."""
        if level == "instance":
            return [[instance] for instance in instances]
        found: dict[str, list[str]] = {}
        for instance in instances:
            series = self.series_of(instance)  # also asked for a study: one that is gone must not be passed over
            found.setdefault(series if level == "series" else "", []).append(instance)
        return list(found.values())


def _texts(resource: Mapping[str, Mapping[str, object]], *parts: str) -> dict[str, str]:
    return {k: str(v).strip(" \0") for part in parts for k, v in resource.get(part, {}).items()}


class Source:
    """Gives the DICOM file or the pictures of an instance as local files."""

    def __init__(self, send: Send, shipment: Shipment, study: Study) -> None:
        self._shipment, self._study = shipment, study
        self._pictures: dict[str, list[Path]] | None = None
        if send.content in ("png", "jpeg"):
            self._pictures = _by_instance(shipment, study, send.content)

    def things(self, instance: str) -> list[Thing]:
        """Return one file, several pictures, or none where the instance cannot be drawn."""
        values = self._study.values("instance", instance)
        if self._pictures is not None:
            found = self._pictures.get(instance, [])
            return [Thing(path, values | {"picture_number": str(n)}) for n, path in enumerate(found, 1)]
        path = self._shipment.work / f"{hashlib.sha256(instance.encode()).hexdigest()[:32]}.dcm"
        with local_disk():
            self._shipment.orthanc.save(instance, path)
        return [Thing(path, values)]

    def drop(self, things: Sequence[Thing]) -> None:
        """Remove DICOM files that have gone out; pictures are kept by the results."""
        if self._pictures is None:
            for thing in things:
                thing.file.unlink(missing_ok=True)


def _by_instance(shipment: Shipment, study: Study, kind: str) -> dict[str, list[Path]]:
    """Find whose picture each is: by what the conversion says, else by a SOPInstanceUID in front of its name."""
    uids = {(study.series_of(i), study.values("instance", i).get("SOPInstanceUID", "")): i for i in shipment.all}
    found: dict[str, list[Path]] = {}
    made = shipment.results.pictures(kind)
    shipment.remarks.extend(of_conversions(kind, made, shipment.results.refused))
    for converted in made:
        told: Sequence[str] = getattr(converted, "instances", ())
        named = [uids.get((converted.series, re.split("[-_]", path.stem)[0]), "") for path in converted.files]
        for path, owner in zip(converted.files, told or named, strict=True):
            if not owner:
                raise Rejected("the name of a picture does not tell whose it is")
            found.setdefault(owner, []).append(path)
    return {instance: sorted(paths) for instance, paths in found.items()}


@dataclass
class Group:
    """Instances that go out together, in one request or in one for each picture."""

    instances: list[str]
    digest: str  # of the instances and their contents
    things: list[list[Thing]]  # of each request
    again: bool = False  # something of it was sent before with other content
    contents: dict[str, str] = field(default_factory=dict)  # SHA-256 by instance


class Plan:
    """What the journal knows: `plan:` of each instance, `arrived:` and `done:` of each request."""

    def __init__(self, journal: Journal, send: Send) -> None:
        self._journal = journal
        json_each = send.body == "json" and not lists_pictures(send.template)
        self._one_each = send.level == "instance" and (send.body == "raw" or json_each)

    def groups(self, instances: Sequence[str], source: Source) -> list[Group]:
        """Part the instances of a unit into what was planned before and has to be finished, and what is new.

        What has arrived is left out: a request that was made ready is never made differently, and late
        instances go alone.
        """
        things = {instance: source.things(instance) for instance in instances}
        contents = {instance: _content(found) for instance, found in things.items()}
        planned: dict[str, list[str]] = {}
        new: list[str] = []
        again = False
        for instance in instances:
            known = self._journal.get(f"plan:{instance}")
            if not things[instance]:
                self._journal.put(f"plan:{instance}", Receipt(0, contents[instance]))
            elif known and known.size and known.sha256 == contents[instance]:
                planned.setdefault(known.remote, []).append(instance)
            else:
                again = again or bool(known and known.size)
                new.append(instance)
        groups = []
        for remote, members in planned.items():
            digest = remote.removesuffix(_AGAIN)
            if self._arrived_whole(members[0]):
                source.drop([thing for m in members for thing in things[m]])
            elif _digest(members, contents) == digest:
                groups.append(self._group(members, things, contents, again=remote.endswith(_AGAIN)))
            else:  # killed while it was planned, so nothing of it went out
                again = again or remote.endswith(_AGAIN)
                new += members
        if new:
            groups.append(self._group(new, things, contents, again=again))
        return groups

    def _group(
        self, members: list[str], things: Mapping[str, list[Thing]], contents: Mapping[str, str], *, again: bool
    ) -> Group:
        flat = [thing for member in members for thing in things[member]]
        requests = [[thing] for thing in flat] if self._one_each else [flat]
        return Group(members, _digest(members, contents), requests, again, {m: contents[m] for m in members})

    def write(self, group: Group) -> None:
        """Write down what is about to go out, before it does."""
        for instance in group.instances:
            remote = group.digest + (_AGAIN if group.again else "")
            receipt = Receipt(len(group.things), group.contents[instance], remote)
            if self._journal.get(f"plan:{instance}") != receipt:
                self._journal.put(f"plan:{instance}", receipt)

    def requests(self, instance: str) -> list[tuple[str, int]] | None:
        """Return the requests that an instance went into, none where it cannot be drawn; None: never planned."""
        known = self._journal.get(f"plan:{instance}")
        if known is None:
            return None
        return [(known.remote.removesuffix(_AGAIN), number) for number in range(known.size)]

    def arrived(self, digest: str, number: int) -> Receipt | None:
        """Return the receipt of a request."""
        return self._journal.get(f"arrived:{digest}:{number}")

    def note_arrived(self, digest: str, number: int, receipt: Receipt) -> None:
        """Remember that the far side has taken a request."""
        self._journal.put(f"arrived:{digest}:{number}", receipt)

    def done(self, digest: str, number: int) -> bool:
        """Answer whether the far side has said that it is done with a request."""
        return self._journal.get(f"done:{digest}:{number}") is not None

    def note_done(self, digest: str, number: int) -> None:
        """Remember that it has said so."""
        self._journal.put(f"done:{digest}:{number}", Receipt(0, ""))

    def _arrived_whole(self, instance: str) -> bool:
        return all(self.arrived(*request) for request in self.requests(instance) or ())


def _content(things: Sequence[Thing]) -> str:
    digest = hashlib.sha256()
    for thing in things:
        with thing.file.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _digest(instances: Sequence[str], contents: Mapping[str, str]) -> str:
    lines = sorted(f"{instance} {contents[instance]}\n" for instance in instances)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
