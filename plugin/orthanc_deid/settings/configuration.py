"""The YAML file: projects, destinations, intake, limits, access."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..errors import ConfigurationError
from ..yaml_file import nearest
from .completeness import Completeness, Sender
from .conversion import Conversion
from .etl import Session
from .files import Folder, ObjectStore
from .flywheel import Flywheel
from .http import Http
from .match import Match
from .model import Model, Name
from .network import Dicom, Dicomweb, Karnak
from .peer import OrthancPeer
from .pseudonyms import LEAST_ON_ARRIVAL, AnyPseudonyms, DerivedPseudonyms
from .retention import Keeping, Retention
from .sources import AnySource, Archive


class Project(Model):
    """What happens to the studies that match: the first project in the file that matches is theirs."""

    name: Name = Field(description="shown with each of its studies; pseudonyms differ from project to project")
    match: Match = Field(default=Match(), description="which studies are its own")
    also: tuple[Name, ...] = Field(
        default=(),
        description="further projects that its studies are de-identified for as well, each with pseudonyms of its own",
    )
    pseudonyms: AnyPseudonyms = Field(default=DerivedPseudonyms(), description="what its patients are called")
    session: Session | None = Field(
        default=None,
        description="what its sessions are called, where the source of pseudonyms does not say it; without: their date",
    )
    profile: Name = Field(default="research", description="name of a profile: profiles/<name>.yaml")
    destinations: tuple[Name, ...] = Field(
        default=(), description="where its results go; none: they stay in this Orthanc"
    )
    convert: tuple[Literal["nifti", "bids", "etl", "png", "jpeg", "dicomdir"], ...] = Field(
        default=(), description="conversions that are made of each study, whether a destination wants them or not"
    )
    retention: Keeping | None = Field(
        default=None, description="what is kept of its studies, and how long; without: `retention` of the whole file"
    )
    priority: int = Field(default=5, ge=1, le=9, description="1: before all others, 9: after them")
    completeness: Completeness | None = Field(
        default=None, description="when its studies are complete; without: `completeness` of intake"
    )


# The next kind of destination is one more member.
Destination = Annotated[
    OrthancPeer | Dicom | Dicomweb | Karnak | Flywheel | ObjectStore | Http | Folder, Field(discriminator="kind")
]


class Refusal(Model):
    """An instance that has every named trait is kept out of Orthanc, in the quarantine folder."""

    name: Name = Field(description="written beside each instance that is refused")
    sop_class: str | None = Field(default=None, pattern=r"^[0-9.]{1,64}$", description="SOP Class UID")
    image_type: str | None = Field(default=None, description="one value of ImageType, any case")

    @model_validator(mode="after")
    def _something(self) -> "Refusal":
        if not (self.sop_class or self.image_type):
            raise ValueError("give sop_class, image_type or both: a refusal of everything is not one")
        return self


class Intake(Model):
    """How studies become known."""

    automatic: bool = Field(default=True, description="process every study when it is stable")
    on_arrival: bool = Field(
        default=False,
        description="de-identify each instance before it is stored, so that nothing identified ever is; a project's"
        " modality is then that of the instance",
    )
    reconcile_s: float = Field(default=5.0, ge=0.2, le=3600, description="seconds between looks at /changes")
    sweep_s: float = Field(default=600.0, ge=1, le=86400, description="seconds between looks at every study")
    refuse: tuple[Refusal, ...] = Field(default=(), description="instances that are kept out of Orthanc")
    completeness: Completeness = Field(default=Completeness(), description="when a study is complete")
    senders: tuple[Sender, ...] = Field(default=(), description="what is particular to systems that send by C-STORE")


class Limits(Model):
    """Bounds that keep one study from harming the rest."""

    instance_bytes: int = Field(default=2**31, ge=1024, description="bytes; a larger instance is refused")
    attempts: int = Field(default=5, ge=1, le=100, description="tries of the de-identification")
    delivery_attempts: int = Field(default=100, ge=1, le=10000, description="tries of each destination")
    backoff_s: float = Field(default=5.0, ge=0.1, description="seconds before the second try; doubles each time")
    backoff_most_s: float = Field(default=3600.0, ge=0.1, description="most seconds between two tries")
    step_s: int = Field(default=3600, ge=10, description="seconds that sending one study to one destination may take")


class Access(Model):
    """Who may ask for what: Orthanc's users are operators, and those named here more than that."""

    reidentify: tuple[str, ...] = Field(
        default=(), description="users of Orthanc who may ask the crosswalk who a pseudonym is; each use is audited"
    )


class Configuration(Model):
    """The YAML file."""

    projects: tuple[Project, ...] = Field(
        default=(Project(name="default"),), min_length=1, description="the first that matches takes the study"
    )
    destinations: tuple[Destination, ...] = Field(default=(), description="where results can go")
    sources: tuple[AnySource, ...] = Field(
        default=(), description="where studies are fetched from; what is sent to Orthanc needs none"
    )
    intake: Intake = Field(default=Intake(), description="how studies become known")
    conversion: Conversion = Field(default=Conversion(), description="how results are converted")
    retention: Retention = Field(default=Retention(), description="what may be deleted, and when")
    limits: Limits = Field(default=Limits(), description="bounds that keep one study from harming the rest")
    access: Access = Field(default=Access(), description="who may ask for what")

    @model_validator(mode="after")
    def _names_resolve(self) -> "Configuration":
        projects, known = [p.name for p in self.projects], [d.name for d in self.destinations]
        sources = [s.name for s in self.sources]
        for kind, names in (
            ("projects", projects),
            ("destinations", known),
            ("sources", sources),
            # One queue and one gate by name.
            ("sources and destinations", sources + known),
            ("intake.senders", [sender.ae for sender in self.intake.senders]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{kind}: the name {twice[0]} is used twice")
        for project in self.projects:
            _demand(f"project {project.name}", "destination", project.destinations, known)
            _demand(f"project {project.name}: match", "source", project.match.source, sources)
            others = [name for name in projects if name != project.name]
            _demand(f"project {project.name}: also", "other project", project.also, others)
        for source in self.sources:
            _demand(f"source {source.name}", "project", _given(source.project), projects)
        self._demand_for_arrival()
        counting = [s.name for s in self.sources if isinstance(s, Archive)]
        for where, wanted in self.completeness():
            _demand(f"{where}: ask", "source of kind pacs or dicomweb", _given(wanted.ask), counting)
            if self.intake.on_arrival and wanted.by != "stable":
                raise ValueError(
                    f"{where}: by: {wanted.by} cannot be used with intake.on_arrival: what is stored then no longer has"
                    " the UIDs that others know; by: stable and quiet_s can"
                )
        return self

    def _demand_for_arrival(self) -> None:
        for project in self.projects if self.intake.on_arrival else ():
            unknown = [key for key in project.match.given if key != "modality"]
            if unknown:
                raise ValueError(
                    f"project {project.name}: match: {', '.join(unknown)} cannot be used with intake.on_arrival: the"
                    " door knows one instance, not its study or who sent it; modality can"
                )
            if project.pseudonyms.kind != "derived":
                raise ValueError(
                    f"project {project.name}: pseudonyms: kind {project.pseudonyms.kind} cannot be used with"
                    " intake.on_arrival: the door asks nobody; kind derived can"
                )
            if project.pseudonyms.code < LEAST_ON_ARRIVAL:
                raise ValueError(
                    f"project {project.name}: pseudonyms: format: {{code:N}} below {LEAST_ON_ARRIVAL} cannot be used"
                    " with intake.on_arrival: two patients may share one, and the door cannot compare"
                )
            if project.also:
                raise ValueError(f"project {project.name}: also cannot be used with intake.on_arrival")
            if project.session:
                raise ValueError(f"project {project.name}: session cannot be used with intake.on_arrival")

    def completeness(self) -> Iterator[tuple[str, Completeness]]:
        """Yield every rule with where it stands."""
        yield "intake.completeness", self.intake.completeness
        for project in self.projects:
            if project.completeness:
                yield f"project {project.name}", project.completeness
        for sender in self.intake.senders:
            if sender.completeness:
                yield f"sender {sender.ae}", sender.completeness

    def destination(self, name: str) -> Destination:
        """Return the destination of that name, or raise ConfigurationError."""
        for destination in self.destinations:
            if destination.name == name:
                return destination
        known = [each.name for each in self.destinations]
        raise ConfigurationError(f"no destination is called {name}{nearest(name, known)}")

    def source(self, name: str) -> AnySource:
        """Return the source of that name, or raise ConfigurationError."""
        for source in self.sources:
            if source.name == name:
                return source
        raise ConfigurationError(f"no source is called {name}{nearest(name, [each.name for each in self.sources])}")

    def lanes(self) -> dict[str, int]:
        """Map each destination and source to the number of studies that it takes at once."""
        return {each.name: each.concurrency for each in (*self.destinations, *self.sources)}

    def project(self, name: str) -> Project:
        """Return the project of that name, or raise ConfigurationError."""
        for project in self.projects:
            if project.name == name:
                return project
        raise ConfigurationError(f"no project is called {name}{nearest(name, [each.name for each in self.projects])}")


def _given(name: str | None) -> list[str]:
    return [name] if name else []


def _demand(where: str, what: str, names: Sequence[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: no {what} is called {name}{nearest(name, known)}")
