"""The tables: ids, states, counts and times. No DICOM value ever stands in one of them."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True, comment="our own number: the only name of a study in logs and queue"),
    Column("source", String(44), nullable=False, unique=True, comment="Orthanc id of the identified study"),
    Column(
        "output", String(44), index=True, comment="Orthanc id of the de-identified study, known before it is stored"
    ),
    Column("project", String(64), nullable=False, comment="name in the configuration"),
    Column("status", String(16), nullable=False, index=True, comment="one of states.STATES"),
    Column("reason", String(500), comment="why it is in this state, without any DICOM value"),
    Column("version", Integer, nullable=False, comment="grows with every late arrival"),
    Column(
        "verified_version", Integer, nullable=False, comment="newest version whose output was searched and is clean"
    ),
    Column("run", Integer, nullable=False, comment="grows with every start; work of an older run stops"),
    Column("attempt", Integer, nullable=False, comment="try of this run, from 1"),
    Column("next_attempt_at", Float, comment="UTC seconds since 1970; empty while nothing waits"),
    Column("last_update", String(32), comment="Orthanc's LastUpdate when the instances were last compared"),
    Column("recheck", Integer, nullable=False, comment="1: something arrived while it was at work"),
    Column("created_at", Float, nullable=False, comment="UTC seconds since 1970"),
    Column("updated_at", Float, nullable=False, index=True, comment="UTC seconds since 1970"),
)

instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), nullable=False),
    Column("source", String(44), nullable=False, comment="Orthanc id of the identified instance"),
    Column("output", String(44), comment="Orthanc id of the de-identified instance"),
    Column("version", Integer, nullable=False, comment="the version of the study that it came with"),
    Column("state", String(16), nullable=False, comment="received, deidentified or quarantined"),
    Column("reason", String(500), comment="why it is quarantined"),
    UniqueConstraint("study_id", "source"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), nullable=False),
    Column("destination", String(64), nullable=False, comment="name in the configuration"),
    Column("version", Integer, nullable=False, comment="newest version that is to arrive there"),
    Column("confirmed_version", Integer, nullable=False, comment="newest version that was read back there"),
    Column("state", String(16), nullable=False, comment="pending, sent, confirmed or failed"),
    Column("reason", String(500), comment="why the last try failed"),
    Column("attempt", Integer, nullable=False, comment="tries of this version"),
    Column("next_attempt_at", Float, comment="UTC seconds since 1970; empty while nothing waits"),
    Column("confirmed", Integer, nullable=False, comment="instances read back there"),
    Column("updated_at", Float, nullable=False, comment="UTC seconds since 1970"),
    UniqueConstraint("study_id", "destination"),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False, comment="UTC seconds since 1970"),
    Column("version", Integer, nullable=False),
    Column("status", String(16), nullable=False, comment="the state that was entered, or the destination's"),
    Column("destination", String(64), comment="set where the event is about one destination"),
    Column("reason", String(500)),
    Column("actor", String(64), nullable=False, comment="the user who asked, or `system`"),
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", String(64), primary_key=True, comment="which sequence"),
    Column("value", Integer, nullable=False, comment="sequence number of Orthanc's /changes read up to here"),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("executor", String(128), primary_key=True, comment="<host>-<slot> of a worker"),
    Column("at", Float, nullable=False, comment="UTC seconds since 1970"),
)

Index("ix_instance_study_id_state", instance.c.study_id, instance.c.state)
