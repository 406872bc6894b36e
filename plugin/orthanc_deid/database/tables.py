"""The tables: ids, states, counts and times. No DICOM value ever stands in one of them."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint

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
    Column("done_at", Float, comment="when all of its version had arrived; UTC seconds since 1970"),
    Column(
        "removed", Integer, nullable=False, server_default="0", comment="sum of REMOVED: what retention has deleted"
    ),
    Column("origin", String(32), comment="by which the table `origin` knows it; empty: it was sent by itself"),
    Column("hold", Integer, nullable=False, server_default="0", comment="1: after verification it waits for a person"),
    Column(
        "copy_of", String(44), index=True,
        comment="Orthanc id of the source, of its study of a further project; `source` is then an id of our own",
    ),
    Column("profile", String(64), comment="name of the profile that made the output"),
    Column("profile_version", String(32), comment="its version"),
    Column("profile_digest", String(64), comment="SHA-256 of its rules, as far as DeidentificationMethod says it"),
    Column("forgotten", Integer, nullable=False, server_default="0", comment="1: its patient was erased by request"),
)  # fmt: skip

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

receipt = Table(
    "receipt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery_id", ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False, comment="to where"),
    Column("item", String(64), nullable=False, comment="SHA-256 of the name of a thing that has arrived"),
    Column("size", BigInteger, nullable=False, comment="bytes"),
    Column("sha256", String(64), nullable=False, comment="of what was sent"),
    Column("remote", String(200), nullable=False, comment="the destination's own id or version of it"),
    Column("at", Float, nullable=False, comment="UTC seconds since 1970"),
    UniqueConstraint("delivery_id", "item"),
)

gate = Table(
    "gate",
    metadata,
    Column("destination", String(64), primary_key=True, comment="name in the configuration"),
    Column("paused", Integer, nullable=False, comment="1: nothing is sent to it until a person lets it go on"),
    Column("next_begin_at", Float, nullable=False, comment="no study is begun before; UTC seconds since 1970"),
    Column("actor", String(64), nullable=False, comment="who paused it or let it go on"),
    Column("updated_at", Float, nullable=False, comment="UTC seconds since 1970"),
    Column("begun", Integer, nullable=False, server_default="0", comment="series fetched since the last wait"),
    Column("series_at", Float, nullable=False, server_default="0", comment="no series before; UTC seconds since 1970"),
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

# What retention has deleted of a study, as bits of `study.removed`.
REMOVED = {"source": 1, "output": 2}

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
