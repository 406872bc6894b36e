"""The tables of what comes in: batches and their rows, watched files, what is waited for. No DICOM value in clear."""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from .tables import metadata

__all__ = ["metadata"]

AT = "UTC seconds since 1970"

batch = Table(
    "batch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("label", String(64), comment="by which projects match what it fetches"),
    Column("key", String(64), unique=True, comment="by which who began it finds it again; empty: it gave none"),
    Column("source", String(64), nullable=False, comment="name of the archive in the configuration"),
    Column("target", String(16), nullable=False, comment="AE title that it is moved to; empty: this Orthanc"),
    Column("state", String(16), nullable=False, index=True, comment="running, paused, cancelled or done"),
    Column("mode", String(16), nullable=False, comment="retrieve, or find: nothing is retrieved"),
    Column("project", String(64), nullable=False, comment="of rows that name none; empty: the first that matches"),
    Column("hold", Integer, nullable=False, comment="1: its studies wait for a person after verification"),
    Column("priority", Integer, nullable=False, comment="1 to 9, of its rows"),
    Column("studies_most", Integer, comment="most studies that are retrieved; empty: all"),
    Column("actor", String(64), nullable=False, comment="who asked"),
    Column("created_at", Float, nullable=False, comment=AT),
    Column("updated_at", Float, nullable=False, comment=AT),
)

batch_row = Table(
    "batch_row",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", ForeignKey("batch.id", ondelete="CASCADE"), nullable=False, comment="its batch"),
    Column("line", Integer, nullable=False, comment="line of the file, from 1"),
    Column("query", LargeBinary, nullable=False, comment="its cells, sealed"),
    Column("state", String(16), nullable=False, comment="one of batches.STATES"),
    Column("reason", String(500), comment="why it is in this state, without any DICOM value"),
    Column("run", Integer, nullable=False, comment="grows with every start; work of an older run stops"),
    Column("attempt", Integer, nullable=False, comment="try of this run, from 1"),
    Column("requests", Integer, nullable=False, comment="times that instances were requested in this run"),
    Column("next_attempt_at", Float, comment=AT),
    Column("updated_at", Float, nullable=False, comment=AT),
    UniqueConstraint("batch_id", "line"),
)

batch_study = Table(
    "batch_study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("row_id", ForeignKey("batch_row.id", ondelete="CASCADE"), nullable=False, comment="that found it"),
    Column("study_digest", String(32), nullable=False, index=True, comment="of the StudyInstanceUID"),
    Column("found", LargeBinary, nullable=False, comment="what the archive answered, sealed"),
    Column("state", String(16), nullable=False, comment="one of batches.STATES"),
    Column("expected", Integer, comment="instances that the archive says there are; empty: it does not say"),
    Column("arrived", Integer, nullable=False, comment="of these, instances that are here"),
    Column("missing", LargeBinary, comment="SOP Instance UIDs that did not arrive, sealed"),
    Column("orthanc", String(44), comment="Orthanc id of the study here"),
    UniqueConstraint("row_id", "study_digest"),
)

origin = Table(
    "origin",
    metadata,
    Column("study_digest", String(32), primary_key=True, comment="of the StudyInstanceUID"),
    Column("source", String(64), nullable=False, comment="name of the source in the configuration; may be empty"),
    Column("project", String(64), nullable=False, comment="that it was fetched for; empty: the first that matches"),
    Column("album", String(64), nullable=False, comment="Kheops album that the list names; may be empty"),
    Column("pseudonym", LargeBinary, comment="that the list names, and of which PatientID, sealed"),
    Column("hold", Integer, nullable=False, comment="1: it waits for a person after verification"),
    Column("at", Float, nullable=False, comment=AT),
)

awaited = Table(
    "awaited",
    metadata,
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("since", Float, nullable=False, comment=AT),
    Column("deadline_at", Float, nullable=False, comment=AT),
    Column("next_look_at", Float, nullable=False, index=True, comment=AT),
    Column("ask", String(64), nullable=False, comment="the source that is asked; may be empty"),
    Column("expected", Integer, comment="instances that there should be; empty: not known yet"),
    Column("present", Integer, nullable=False, comment="instances that are here"),
    Column("missing", Integer, comment="by SOP Instance UID; empty: only the numbers were compared"),
    Column("requests", Integer, nullable=False, comment="times that what is missing was requested"),
    Column("asked_at", Float, comment=AT),
    Column("reason", String(500), comment="why it could not be asked"),
)

manifest = Table(
    "manifest",
    metadata,
    Column("study_digest", String(32), primary_key=True, comment="of the StudyInstanceUID"),
    Column("instances", Integer, nullable=False, comment="that its sender has announced"),
    Column("digests", Text, comment="of their SOP Instance UIDs, a line each; empty: only the number is known"),
    Column("actor", String(64), nullable=False, comment="who announced it"),
    Column("at", Float, nullable=False, comment=AT),
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("instance", String(44), nullable=False, comment="Orthanc id of the identified instance"),
    Column("file", String(64), nullable=False, unique=True, comment="name in the folder of conflicts"),
    Column("state", String(16), nullable=False, index=True, comment="open, replacing, kept or replaced"),
    Column("actor", String(64), nullable=False, comment="who decided; `system` while nobody has"),
    Column("at", Float, nullable=False, comment=AT),
    Column("resolved_at", Float, comment=AT),
)

collected = Table(
    "collected",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String(64), nullable=False, comment="name in the configuration"),
    Column("item", String(32), nullable=False, comment="digest of the file's path or the study's id over there"),
    Column("stamp", String(32), nullable=False, comment="digest of what differs where it was changed"),
    Column("state", String(16), nullable=False, comment="taken or refused"),
    Column("reason", String(500), comment="why it was refused"),
    Column("instances", Integer, nullable=False, comment="that are in Orthanc now"),
    Column("at", Float, nullable=False, comment=AT),
    UniqueConstraint("source", "item"),
)

collector = Table(
    "collector",
    metadata,
    Column("source", String(64), primary_key=True, comment="name in the configuration"),
    Column("state", String(16), nullable=False, comment="working, waiting, paused or away"),
    Column("reason", String(500), comment="why it is away"),
    Column("position", String(64), nullable=False, comment="how far the source was read; empty: from the beginning"),
    Column("waiting", Integer, nullable=False, comment="items seen and not taken yet"),
    Column("taken", Integer, nullable=False, comment="items taken since the first start"),
    Column("refused", Integer, nullable=False, comment="items refused since the first start"),
    Column("looked_at", Float, comment=AT),
)

Index("ix_batch_row_batch_id_state", batch_row.c.batch_id, batch_row.c.state)
