"""`python -m orthanc_deid` is the command line."""

from .cli.commands import run

run()
