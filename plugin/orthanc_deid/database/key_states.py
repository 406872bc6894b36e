"""Whether the keys that are there are those that the database needs: by project, by generation, and by opening rows."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, select

from ..errors import ConfigurationError
from ..keyring import GONE, Keyring
from . import ONLY_READS
from .crosswalk import demand_key
from .crosswalk_place import Place
from .crosswalk_tables import PATIENT, crosswalk, crosswalk_project

HERE, SEALED, WRONG = "here", "sealed", "wrong"


@dataclass(frozen=True)
class KeyState:
    """One project or generation: `here`, `sealed` or `wrong`, and for the last what to do about it."""

    name: str
    state: str
    detail: str = ""


class KeyStates:
    """Reads alone: it makes no project and no key."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine.execution_options(**{ONLY_READS: True})
        self._keyring = keyring

    def projects(self, *, opening: bool = False) -> list[KeyState]:
        """Tell of each project that the database knows whether its key is there; `opening`: and opens a row."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(crosswalk_project).order_by(crosswalk_project.c.name)).all()
            return [self._project(connection, row, opening=opening) for row in rows]

    def generations(self, numbers: Collection[int]) -> list[KeyState]:
        """Tell of each generation that rows have whether its key is there and opens its oldest row."""
        with self._engine.begin() as connection:
            return [self._generation(connection, number) for number in numbers]

    def demand(self, projects: Collection[str]) -> None:
        """Raise ConfigurationError where the key of one of these projects is gone or another one."""
        wrong = [each for each in self.projects() if each.state == WRONG and each.name in projects]
        if wrong:
            raise ConfigurationError(wrong[0].detail)

    def _project(self, connection: Connection, row: Row[tuple[object, ...]], *, opening: bool) -> KeyState:
        if row.sealed_at is not None or self._keyring.is_sealed(row.name):
            return KeyState(row.name, SEALED)
        query = select(crosswalk).where(crosswalk.c.project_id == row.id, crosswalk.c.kind == PATIENT).limit(1)
        try:
            place = Place(self._keyring, row.name, row.id, key=demand_key(self._keyring, row))
            sample = connection.execute(query).first() if opening else None
            if sample is not None:
                place.open(sample)
        except ConfigurationError as error:
            return KeyState(row.name, WRONG, str(error))
        return KeyState(row.name, HERE)

    def _generation(self, connection: Connection, number: int) -> KeyState:
        name = f"crosswalk-{number}"
        query = (
            select(crosswalk, crosswalk_project.c.name)
            .join(crosswalk_project, crosswalk_project.c.id == crosswalk.c.project_id)
            .where(crosswalk.c.generation == number, crosswalk_project.c.sealed_at.is_(None))
        )
        sample = connection.execute(query.order_by(crosswalk.c.id).limit(1)).first()
        if number not in self._keyring.generations():
            return KeyState(name, WRONG, GONE.format(name)) if sample else KeyState(name, SEALED)
        try:
            if sample is not None and self._keyring.has(sample.name) and not self._keyring.is_sealed(sample.name):
                Place(self._keyring, sample.name, sample.project_id).open(sample)
        except ConfigurationError as error:
            return KeyState(name, WRONG, str(error))
        return KeyState(name, HERE)
