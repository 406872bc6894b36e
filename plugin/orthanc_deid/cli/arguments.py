"""What people type: ids, states, and options that stand on the wrong side of the command."""

import re
from typing import Any

import click

from .. import states

_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


class StudyId(click.ParamType[str]):
    """Orthanc's id of a study."""

    name = "study"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  # click's own
        """Refuse what cannot be one, without repeating it: it may be a patient's number."""
        if not _ORTHANC_ID.fullmatch(str(value)):
            self.fail(
                "not an Orthanc id (five groups of eight hexadecimal digits, joined by '-');"
                " `orthanc-deid studies` lists them, and Orthanc's web page shows them in its addresses",
                param,
                ctx,
            )
        return str(value)


class OrthancId(StudyId):
    """Orthanc's id of a study, series or instance."""

    name = "resource"


class States(click.ParamType[str]):
    """States, separated by commas."""

    name = "states"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  # click's own
        """Refuse a name that is no state."""
        wanted = [word.strip() for word in str(value).split(",") if word.strip()]
        for word in wanted:
            if word not in states.STATES:
                self.fail(f"{word!r} is not a state; the states are {', '.join(states.STATES)}", param, ctx)
        return ",".join(wanted)


class Command(click.Command):
    """A command that explains where the options of the server stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say so where one of them stands after the command."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            options = ctx.parent.command.params if ctx.parent else []
            for option in options:
                if error.option_name in option.opts:
                    value = "" if getattr(option, "is_flag", False) else " ..."
                    right = f"orthanc-deid {error.option_name}{value} {ctx.info_name}"
                    raise click.UsageError(f"{error.option_name} stands before the command: {right}", ctx) from None
            raise


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
