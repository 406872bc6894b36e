import pytest

from orthanc_deid.database import migrate, open_database
from orthanc_deid.database.assigned import Assigned
from orthanc_deid.database.intake_tables import assigned
from orthanc_deid.errors import Rejected
from orthanc_deid.sealed import Seal


def test_a_pseudonym_is_of_one_patient_in_a_project_whatever_batch_gave_it(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    known = Assigned(engine, Seal(bytes(32)))
    known.claim("trial", "SUB-1", "MRN-770001")
    known.claim("trial", "SUB-1", " mrn-770001 ")
    known.claim("other", "SUB-1", "MRN-770002")
    with pytest.raises(Rejected, match="another patient's"):
        known.claim("trial", "sub-1", "MRN-770002")
    with engine.connect() as connection:
        held = str(connection.execute(assigned.select()).all())
    assert "770001" not in held
    assert "SUB-1" not in held
    engine.dispose()
