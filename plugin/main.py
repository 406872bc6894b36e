"""Orthanc's PythonScript: the only module that imports `orthanc`; registers the callbacks and starts the service.

Nothing heavy is imported into Orthanc's process (for de-identification on arrival: pydantic), and no orthanc.RestApi*
function is called: they keep the GIL and deadlock with the received-instance callback.
"""

import json
import logging
import os
import secrets
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import orthanc
from orthanc_deid import log
from orthanc_deid.audit_feed import Feed, facility
from orthanc_deid.callbacks import Changes, Hints, Orthanc
from orthanc_deid.door import Actions, Again, Door, Refusal
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.header import UNWANTED, load_reader, without
from orthanc_deid.proxy import ROUTE, Proxy, asks_names, at_once
from orthanc_deid.service_socket import Service, SocketFolder
from orthanc_deid.supervisor import Child

PLUGIN = Path(__file__).resolve().parent
PAGES = PLUGIN / "orthanc_deid" / "pages"
EXPLORER = (
    "explorer_service.js", "explorer_dialogs.js", "explorer_decisions.js", "explorer_state.js", "explorer.js",
    "explorer_rows.js", "explorer_overview.js",
)  # fmt: skip  # each uses those before it
ORIGINS = ("UNKNOWN", "DICOM_PROTOCOL", "REST_API", "PLUGIN", "LUA", "WEB_DAV")


def attach(module: Orthanc) -> None:
    """Register everything; an exception stops Orthanc's start."""
    log.set_up("plugin")
    warnings.simplefilter("ignore")  # a library's warning may hold a value, and stderr is Orthanc's log
    environment = dict(os.environ) | {"PYTHONPATH": str(PLUGIN)}
    python = environment.get("ORTHANC_DEID_PYTHON") or str(PLUGIN.parent / ".venv" / "bin" / "python")
    rules = door_rules(python, environment)
    configuration = json.loads(module.GetConfiguration())
    folder = SocketFolder()
    service = Service(folder.path / "service", secrets.token_hex(32))

    module.RegisterReceivedInstanceCallback(door(module, rules))
    is_decoded = bool(module.CheckVersionAdvanced(1, 13, 0))
    proxy = Proxy(
        service, at_once=at_once(configuration), get_is_decoded=is_decoded, asks_names=asks_names(configuration)
    )
    module.RegisterRestCallback(ROUTE, proxy)
    environment |= {
        "ORTHANC_DEID_ORTHANC_URL": f"http://127.0.0.1:{configuration.get('HttpPort', 8042)}",
        "ORTHANC_DEID_ORTHANC_TOKEN": module.GenerateRestApiAuthorizationToken(),
        "ORTHANC_DEID_SERVICE_SECRET": service.secret,
        "ORTHANC_DEID_STABLE_AGE_S": str(configuration.get("StableAge", 60)),
    }
    arguments = [python, "-m", "orthanc_deid.service", "--socket", str(service.socket)]
    module.RegisterOnChangeCallback(
        Changes(
            module.ChangeType,
            child=Child(arguments, name="service", environment=environment),
            hints=Hints(service.hint),
            after_stop=folder.remove,
            feed=feed(module, service, rules),
        )
    )
    extend_explorer(module)


def door_rules(python: str, environment: dict[str, str]) -> dict[str, Any]:
    """Ask the product's own Python for the settings.

    Raises
    ------
    RuntimeError
        They are wrong; stderr, which is Orthanc's, says where.
    """
    command = [python, "-m", "orthanc_deid.door_rules"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError("the configuration of orthanc-deid is wrong, see the lines above")
    rules: dict[str, Any] = json.loads(done.stdout)
    return rules


def door(module: Orthanc, rules: dict[str, Any]) -> Door:
    """Make the received-instance callback with Orthanc's constants, so that it need not ask for them."""
    action, origin = module.ReceivedInstanceAction, module.InstanceOrigin
    return Door(
        actions=Actions(
            keep=action.KEEP_AS_IS,
            discard=action.DISCARD,
            modify=action.MODIFY,
            origins={getattr(origin, name): name for name in ORIGINS},
        ),
        read=load_reader(rules["site_packages"]),
        quarantine=Path(rules["quarantine"]),
        instance_bytes=rules["instance_bytes"],
        refusals=[Refusal(**refusal) for refusal in rules["refuse"]],
        deidentify=arrival(rules) if rules["arrival"] else None,
        again=again(rules),
    )


def feed(module: Orthanc, service: Service, rules: dict[str, Any]) -> Feed | None:
    """Make what passes our audit on to Orthanc's; None where this Orthanc has none."""
    orthanc_audit = facility(module)
    return Feed(service, orthanc_audit, Path(rules["again"]["home"])) if orthanc_audit else None


def again(rules: dict[str, Any]) -> Again | None:
    """Load what knows instances that come again; None where it cannot be: instances are worth more than that."""
    try:
        from orthanc_deid.repeats import load  # with sqlite3, which not every embedded Python has

        return load(rules["again"])
    except (ImportError, ConfigurationError) as error:
        log.event("repeated instances are not compared", level=logging.ERROR, error=type(error).__name__)
        return None


def arrival(rules: dict[str, Any]) -> Callable[[bytes], bytes]:
    """Load what de-identifies on arrival, from the product's own packages but without numpy.

    Raises
    ------
    ConfigurationError
        The key cannot be read. Whatever is raised here stops Orthanc's start: no instance is stored unexamined.
    """
    sys.path.insert(0, rules["site_packages"])
    try:
        with without(*UNWANTED):
            from orthanc_deid.arrival import load  # with pydantic, so for this mode only

            return load(rules["arrival"])
    finally:
        sys.path.remove(rules["site_packages"])


def extend_explorer(module: Orthanc) -> None:
    """Add the buttons: Orthanc takes one text.

    Not by ExtendOrthancExplorer2 of plugin 5.0: Orthanc serves what it is given only under a loaded plugin's name.
    """
    module.ExtendOrthancExplorer("\n".join((PAGES / name).read_text(encoding="utf-8") for name in EXPLORER))


attach(cast("Orthanc", orthanc))  # the embedded module has no types
