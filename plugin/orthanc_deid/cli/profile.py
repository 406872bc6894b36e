"""`orthanc-deid profile`: what a profile does with every attribute, whether it is right, how two differ."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from .. import profiles, settings
from ..confidentiality.plan import Action, plan
from ..confidentiality.private import lists
from ..confidentiality.profile import Profile
from ..confidentiality.standard.options import Option
from ..errors import ConfigurationError
from ..explained import Line, explained


@click.group()
def profile() -> None:
    """Look at profiles: what they do to every attribute.

    \b
    orthanc-deid profile list                        the names
    orthanc-deid profile show research               every attribute
    orthanc-deid profile show research StudyDate 0008,103E
    orthanc-deid profile check profiles/trial.yaml   is the file right?
    orthanc-deid profile diff basic research         where two profiles differ

    These need no running server. Profiles are found beside the configuration (ORTHANC_DEID_CONFIG), then among those
    shipped.
    """  # noqa: D301  # \b is click's own mark


@profile.command("list")
@click.pass_context
def list_profiles(context: click.Context) -> None:
    """List the profiles that can be used, with their titles and options."""
    found = settings.load()
    loaded = list(_loaded(found))
    if context.obj and context.obj.as_json:
        click.echo(json.dumps([_listed(told) for told in loaded], indent=2))
        return
    for told in loaded:
        click.echo(f"{told.name} {told.version}: {told.title}")
        for option in told.options:
            click.echo(f"    {option}")


def _loaded(found: settings.Settings) -> Iterator[Profile]:
    """Yield every profile without faults, and tell the faults of the others."""
    for name in profiles.known(found):
        try:
            yield profiles.load(found, name)
        except ConfigurationError as error:
            click.secho(f"{name}: {error}", fg="red", err=True)


def _listed(told: Profile) -> dict[str, object]:
    texts = {"name": told.name, "version": told.version, "digest": told.digest, "title": told.title}
    return texts | {"options": list(told.options)}


@profile.command()
@click.argument("name")
@click.argument("attribute", nargs=-1)
@click.option("--listed", is_flag=True, help="Only attributes of Table E.1-1, private ones, and what rules name.")
@click.pass_context
def show(context: click.Context, name: str, attribute: tuple[str, ...], *, listed: bool) -> None:
    """Show what a profile does with every attribute, who carries it out, and why.

    `native` is Orthanc's own /anonymize, `pass` what follows it; on folders and on arrival the pass does all of it.
    Name attributes by keyword or gggg,eeee to see only these. An attribute that is in no line is removed, wherever it
    stands.
    """
    told = profiles.load(settings.load(), name)
    lines = [line for line in explained(told) if not listed or not line.why.startswith("not in Table")]
    if attribute:
        wanted = {_plain(word): word for word in attribute}
        lines = [line for line in lines if {_plain(line.attribute), _plain(line.keyword)} & wanted.keys()]
        shown = {_plain(name) for line in lines for name in (line.attribute, line.keyword)}
        for word in [word for plain, word in wanted.items() if plain not in shown]:
            click.secho(f"{word}: no attribute of the dictionary or the table is called so: removed", err=True)
    _print(context, lines)
    context.exit(0 if lines else 1)


def _plain(name: str) -> str:
    """Write tags in one form: (0008,103e), 0008-103E and 0008103e are one."""
    return name.casefold().translate(str.maketrans("", "", "(), -"))


@profile.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path) -> None:
    """Check a profile's file; each fault is told with its line.

    What it is based on is looked for in `profiles` beside the configuration, and among the shipped. Exit 2 if it has
    faults.
    """
    told = profiles.read(settings.load(), file)
    for text in _advice(told):
        click.secho(f"{file.name}: {text}", fg="yellow", err=True)
    click.echo(
        f"{told.name} {told.version} ({told.digest}) is right; {len(plan(told).tags)} attributes stay in some form"
    )


@profile.command()
@click.argument("first")
@click.argument("second")
@click.pass_context
def diff(context: click.Context, first: str, second: str) -> None:
    """Show the attributes that two profiles treat differently, and how. Exit 1 if there are any."""
    found = settings.load()
    ours, theirs = (
        {line.attribute: line for line in explained(profiles.load(found, name))} for name in (first, second)
    )
    lines = []
    for attribute in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(attribute), theirs.get(attribute)
        if (one and one.action) != (other and other.action):
            known = one or other
            assert known  # noqa: S101  # it stands in one of the two
            words = [line.action if line else Action.REMOVE.value for line in (one, other)]
            whys = [f"{name}: {line.why if line else 'in no list'}" for name, line in ((first, one), (second, other))]
            lines.append(Line(attribute, known.keyword, " -> ".join(words), known.by, "; ".join(whys)))
    _print(context, lines)
    context.exit(1 if lines else 0)


def _advice(told: Profile) -> Iterator[str]:
    """Say what is right as it is written and may yet not be what was meant."""
    if told.has(Option.UIDS) and told.has(Option.MODIFIED_DATES):
        yield "UIDs that stay hold real dates with many scanners: they tell by how many days the others are shifted"
    yield from _creators(told)


def _creators(told: Profile) -> Iterator[str]:
    """Say which rules name a creator that no list knows: a misspelt one does nothing, silently."""
    known = lists.creators(frozenset({"standard", "converter", "tcia"}))
    for creator, group, _offset in plan(told).private:
        if creator not in known:
            yield f'no list knows the creator "{creator}" ({group:04X}); right only if your devices write it so'


def _print(context: click.Context, lines: list[Line]) -> None:
    if context.obj and context.obj.as_json:
        click.echo(json.dumps([line._asdict() for line in lines], indent=2))
        return
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(4)]
    for line in lines:
        click.echo("  ".join(word.ljust(width) for word, width in zip(line[:4], widths, strict=True)) + f"  {line.why}")
