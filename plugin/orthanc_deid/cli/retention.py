"""The command `retention`."""

import json

import click

from .arguments import Command
from .server import Asked


@click.command(cls=Command)
@click.option("--apply", "really", is_flag=True, help="Delete it; without, nothing is deleted.")
@click.pass_obj
def retention(asked: Asked, *, really: bool) -> None:
    """Show or delete what the retention rules name now.

    Sources, outputs and conversions go by the rules of `retention` in the configuration, never before every required
    destination has confirmed. The service does so by itself every `retention.look_s` seconds; each deletion is an
    event of its study.
    """
    told = asked.server().call("POST" if really else "GET", "/deid/retention")
    if asked.as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for item in told["items"]:
        click.echo(f"{item['study']}  {item['what']:<8} {item['bytes'] / 2**20:8.1f} MiB  {item['reason']}")
    verb = "deleted" if really else "would be deleted (--apply deletes it)"
    click.echo(f"{len(told['items'])} things, {told['bytes'] / 2**20:.1f} MiB {verb}")
