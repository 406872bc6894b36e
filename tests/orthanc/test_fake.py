import json
from pathlib import Path

import fake_orthanc
from conftest import NewOrthanc

DUMP = """
import json
import orthanc
ENUMERATIONS = {enumerations!r}
FORMS = {{"bytes": (b"x",), "text": ("\\u00e9", 2)}}
found = {{}}
for name, keys in ENUMERATIONS.items():
    found[name] = {{key: int(getattr(getattr(orthanc, name), key)) for key in keys}}
found["functions"] = [name for name in dir(orthanc) if callable(getattr(orthanc, name))]
found["output"] = dir(orthanc.RestOutput)
found["version"] = [orthanc.CheckVersionAdvanced(*v) for v in ((1, 10, 1), (1, 10, 2), (1, 13, 0))]
found["configuration"] = type(json.loads(orthanc.GetConfiguration())).__name__
found["token"] = orthanc.GenerateRestApiAuthorizationToken()[:7]

def answer(output, uri, **request):
    first, second = request["groups"][0].split("-")
    try:
        output.SendHttpStatus(409, *FORMS[first])
    except TypeError:
        output.SendHttpStatus(409, *FORMS[second])

orthanc.RegisterRestCallback("/fake/(.*)", answer)
with open({result!r}, "w") as file:
    json.dump(found, file)
"""


def enumeration(kind: type) -> dict[str, int]:
    return {key: value for key, value in vars(kind).items() if key.isupper()}


KINDS = (fake_orthanc.ChangeType, fake_orthanc.InstanceOrigin, fake_orthanc.ReceivedInstanceAction)


def test_the_stand_in_is_like_the_module_that_orthanc_embeds(new_orthanc: NewOrthanc, tmp_path: Path) -> None:
    expected = {kind.__name__: enumeration(kind) for kind in KINDS}
    script, result = tmp_path / "dump.py", tmp_path / "found.json"
    script.write_text(DUMP.format(enumerations={k: sorted(v) for k, v in expected.items()}, result=str(result)))
    with new_orthanc(script=script) as server:
        version = server.version
        answers = [server.get(f"/fake/{forms}") for forms in ("text-bytes", "bytes-text")]
    taken = ("x", "text/plain") if version >= (1, 12) else ("é", None)  # the other form is a TypeError
    assert [(a.content.decode(), a.headers.get("Content-Type")) for a in answers] == [taken, taken]
    found = json.loads(result.read_text())
    assert {name: found[name] for name in expected} == expected
    functions = {
        name for name in vars(fake_orthanc) if name.startswith(("Check", "Extend", "Generate", "Get", "Regis"))
    }
    assert functions <= set(found["functions"])
    methods = {name for name in vars(fake_orthanc.RestOutput) if not name.startswith("_")}
    assert methods <= set(found["output"])
    versions = [int(v <= version) for v in ((1, 10, 1), (1, 10, 2), (1, 13, 0))]
    assert (found["version"], found["configuration"], found["token"]) == (versions, "dict", "Bearer ")
