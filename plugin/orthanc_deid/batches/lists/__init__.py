"""Lists of people: read with every fault named, reported and written back; knows no Orthanc and no database."""
