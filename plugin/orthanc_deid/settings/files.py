"""Settings of the kinds that store files: object-store, folder."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ..formats import names
from .delivery import Delivery
from .file_names import ARCHIVE_NAMES, LEVELS, ONE_DATASET, PRESETS, STARR_METADATA, STUDY, TEMPLATES, Content
from .model import File
from .stores import Store

# Of a study that is one object, the last three are those of its first instance.
METADATA_FIELDS = (*names.FIELDS["instance"], "ContentType", "PatientSex", "PatientAge")
MetadataName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class Files(Delivery):
    """What is written, and under which names."""

    content: tuple[Content, ...] = Field(default=("dicom",), min_length=1, description="what is written")
    names: str | dict[Content, str] | None = Field(
        default=None,
        description="template of the names, or one for each content: {project}/{PatientID}/{StudyInstanceUID}.zip; "
        "a preset: pacsifier, starr; without: one for each content",
    )
    archive_names: str | None = Field(
        default=None,
        description="template of the names inside zip and tar.gz, in a folder named like the archive; without: "
        "{SeriesInstanceUID}/{SOPInstanceUID}.dcm, with names: starr {SOPInstanceUID}.dcm",
    )
    late_archives: Literal["add", "replace"] = Field(
        default="add",
        description="instances that come later: a further archive with them alone (_v2), or the whole one again",
    )
    manifest: str | None = Field(
        default=None, description="template of the manifest's name; without: manifest.json in the study's folder"
    )
    read_back: Literal["size", "hash"] = Field(
        default="size",
        description="what confirms: size and what the store tells of the content, or all is read again and hashed",
    )
    existing: Literal["refuse", "replace"] = Field(
        default="refuse", description="where the template gives a name that another study's file has already"
    )

    @field_validator("content")
    @classmethod
    def _each_once(cls, value: tuple[Content, ...]) -> tuple[Content, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each content once")
        return value

    @field_validator("archive_names")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None:
            names.check(value, "instance")
        return value

    @field_validator("manifest")
    @classmethod
    def _one_for_each_study(cls, value: str | None) -> str | None:
        if value is None:
            return None
        names.check(value, "study")
        if "{StudyInstanceUID}" not in value:
            raise ValueError("it must contain {StudyInstanceUID}: each study has a manifest of its own")
        return value

    @model_validator(mode="after")
    def _templates_fit(self) -> "Files":
        if isinstance(self.names, str) and "{" in self.names and len(self.content) > 1:
            raise ValueError("names: with several contents give one for each: {dicom: ..., zip: ...}")
        for content in self.content:
            template = self.template(content)
            try:
                names.check(template, LEVELS[content])
            except ValueError as error:
                raise ValueError(f"names: {error}") from None
            if "{SeriesInstanceUID}" not in template and LEVELS[content] == "series" and "{Series" not in template:
                raise ValueError("names: of files made from a series it must name the series: {SeriesNumber}")
        return self

    def template(self, content: Content) -> str:
        """Return the template of one content."""
        if isinstance(self.names, dict):
            return self.names.get(content, self.default_template(content))
        if self.names is None:
            return self.default_template(content)
        if "{" in self.names:
            return self.names
        if self.names not in PRESETS:
            raise ValueError(f"names: a template with {{fields}} or a preset: {', '.join(PRESETS)}")
        if content not in PRESETS[self.names]:
            raise ValueError(f"names: {self.names} has no names for {content}")
        return PRESETS[self.names][content]

    def archive_template(self) -> str:
        """Return the template of the names inside an archive."""
        preset = self.names if isinstance(self.names, str) else ""
        return self.archive_names or ARCHIVE_NAMES.get(preset, "{SeriesInstanceUID}/{SOPInstanceUID}.dcm")

    def project_name(self, project: str) -> str:
        """Return a project as names have it: in capitals in those of starr."""
        return project.upper() if self.names == "starr" else project

    def manifest_template(self) -> str:
        """Return the template of the manifest."""
        return self.manifest or self.in_project(f"{STUDY}/manifest.json")

    def default_template(self, content: Content) -> str:
        """Return the template where none is given."""
        return self.in_project(TEMPLATES[content])

    def in_project(self, template: str) -> str:
        """Return a default template as this kind wants it."""
        return template


class Folder(Files):
    """A folder of this machine or a mounted share; a study appears in it as a whole or not at all."""

    kind: Literal["folder"] = Field(description="what the destination is")
    path: File = Field(description="the folder; it must exist")
    must_be_mount: bool = Field(
        default=False, description="it must be a mount point: nothing is written below it while the share is away"
    )
    file_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(default="640", description="mode of the files")
    folder_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        default="750", description="mode of the folders that are made"
    )
    keep_free_bytes: int = Field(default=2**30, ge=0, description="bytes that stay free on its disk")
    bids: Literal["merge", "each"] = Field(
        default="merge", description="merge: one BIDS dataset for all studies; each: a tree for each study"
    )

    @model_validator(mode="after")
    def _one_dataset(self) -> "Folder":
        if self.merges_bids and "{" in self.template("bids").replace("{project}", ""):
            raise ValueError(
                "names: of bids: the dataset is one for all studies, so that {project} is the only field; or bids: each"
            )
        return self

    @property
    def merges_bids(self) -> bool:
        """Whether studies are added to one BIDS dataset."""
        return "bids" in self.content and self.bids == "merge"

    def default_template(self, content: Content) -> str:
        """Return the template where none is given."""
        return ONE_DATASET if content == "bids" and self.bids == "merge" else super().default_template(content)


class ObjectStore(Files, Store):
    """S3, Google Cloud Storage, Azure Blob Storage or SFTP."""

    kind: Literal["object-store"] = Field(description="what the destination is")
    part_bytes: int = Field(default=16 * 2**20, ge=5 * 2**20, le=2**28, description="size of the parts of a large file")
    metadata: Literal["starr"] | dict[MetadataName, str] = Field(
        default_factory=dict,
        description="s3, gs, az: fields at each object, from values of the de-identified study: "
        "{CodedPatientID: '{PatientID}'}; preset: starr",
    )
    server_side_encryption: Literal["AES256", "aws:kms"] | None = Field(default=None, description="s3: at rest")
    kms_key_id: str | None = Field(default=None, description="s3: key of aws:kms")
    storage_class: str | None = Field(default=None, description="s3: STANDARD_IA and the like")

    @model_validator(mode="after")
    def _one_way_to_write(self) -> "ObjectStore":
        if self.kms_key_id and self.server_side_encryption != "aws:kms":
            raise ValueError("kms_key_id needs server_side_encryption: aws:kms")
        if self.scheme == "sftp" and self.metadata:
            raise ValueError("sftp:// keeps no metadata")
        for template in self.metadata_templates().values():
            _check_metadata(template)
        return self

    def in_project(self, template: str) -> str:
        """Return a default template as this kind wants it: a bucket holds the studies of several projects."""
        return "{project}/" + template

    def metadata_templates(self) -> Mapping[str, str]:
        """Return the templates of the metadata by name."""
        return STARR_METADATA if self.metadata == "starr" else self.metadata


def _check_metadata(template: str) -> None:
    for field in METADATA_FIELDS:
        template = template.replace(f"{{{field}}}", "")
    if "{" in template or "}" in template:
        raise ValueError(f"metadata: a field that is not known; known: {', '.join(METADATA_FIELDS)}")
