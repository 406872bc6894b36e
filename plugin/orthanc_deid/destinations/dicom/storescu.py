"""C-STORE and C-ECHO of files by the programs of DCMTK, with a status for each file."""

import os
import re
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ...errors import ConfigurationError, Retriable
from ...settings.network import KarnakNode
from . import dimse
from .dimse import Refusal

DCMTK = "/usr/bin"  # of Debian: another package that is called storescu takes other options
CALLING = "ORTHANC_DEID"
SUCCESS, WARNING, WARNINGS = 0x0000, 0xB000, 0xF000
PROFILE = "Deid"


def echo(node: KarnakNode) -> None:
    """Open an association and send C-ECHO; raise Retriable with the reason where it is not answered."""
    output, code = _run(node, [f"{DCMTK}/echoscu", "-v"], [], Path.cwd(), node.timeout_s + 10)
    if code != 0:
        raise Retriable(f"the DICOM node does not answer: {dimse.of_details(output).words}")


def store(
    node: KarnakNode, files: Sequence[Path], combinations: Collection[tuple[str, str]], seconds: float
) -> dict[Path, Refusal | None]:
    """Send files of one folder; return for each why it was refused, or None where it was taken.

    `combinations` are the pairs of SOP class and transfer syntax of the files: each is proposed as it is, so that
    nothing is converted. Raises Interrupted where there is no association or it ends before the last file.
    """
    folder = files[0].parent
    profile = folder / "association.cfg"
    profile.write_text(_profile(combinations), encoding="ascii")
    command = [f"{DCMTK}/storescu", "-d", "-xf", profile.name, PROFILE]
    end = time.monotonic() + seconds
    answers: dict[Path, Refusal | None] = {}
    # It ends at the first file that is not taken: told to go on, it would wait for a silent node at every file.
    while left := files[len(answers) :]:
        try:
            output, _ = _run(node, command, [file.name for file in left], folder, max(end - time.monotonic(), 1.0))
            answers |= _answers(output, left)
        except Interrupted as error:
            raise Interrupted(str(error), {*_taken(answers), *error.taken}) from None
        except Retriable as error:
            raise Interrupted(str(error), _taken(answers)) from None
    return answers


class Interrupted(Retriable):
    """The association ended before the last file."""

    def __init__(self, message: str, taken: Collection[Path]) -> None:
        super().__init__(message)
        self.taken = taken


def _taken(answers: Mapping[Path, Refusal | None]) -> set[Path]:
    return {file for file, refusal in answers.items() if refusal is None}


def _answers(output: str, files: Sequence[Path]) -> dict[Path, Refusal | None]:
    """Read the program's words up to the file where it ended, of at least one; its exit code says nothing of a file."""
    sent = re.split(r"Sending file: (.+)", output)
    words = {name.strip(): text for name, text in zip(sent[1::2], sent[2::2], strict=True)}
    answers: dict[Path, Refusal | None] = {}
    for file in files:
        if answers and words and file.name not in words:
            break
        text = words.get(file.name, "" if words else output)
        status = re.search(r"DIMSE Status\s*: 0x([0-9a-fA-F]{4})", text)
        if status:
            answers[file] = _refusal(int(status[1], 16))
            continue
        refusal = dimse.of_details("\n".join(re.findall(r"(?m)^[EF]: (.*)", text)))
        if refusal.about != dimse.INSTANCE:
            raise Interrupted(f"the DICOM node did not take the instances: {refusal.words}", _taken(answers))
        answers[file] = refusal
    return answers


def _refusal(status: int) -> Refusal | None:
    if status == SUCCESS or status & WARNINGS == WARNING or status == dimse.DUPLICATE:
        return None
    return dimse.of_status(status)


def _profile(combinations: Collection[tuple[str, str]]) -> str:
    """Return an association profile that proposes exactly these pairs."""
    pairs = sorted(combinations)
    syntaxes = "".join(f"[T{n}]\nTransferSyntax1 = {syntax}\n" for n, (_, syntax) in enumerate(pairs))
    contexts = "".join(f"PresentationContext{n + 1} = {sop}\\T{n}\n" for n, (sop, _) in enumerate(pairs))
    return (
        f"[[TransferSyntaxes]]\n{syntaxes}[[PresentationContexts]]\n[Contexts]\n{contexts}"
        f"[[Profiles]]\n[{PROFILE}]\nPresentationContexts = Contexts\n"
    )


def _run(
    node: KarnakNode, program: Sequence[str], names: Sequence[str], folder: Path, seconds: float
) -> tuple[str, int]:
    timeout = str(node.timeout_s)
    command = [
        *program, *_tls(node), "-aet", node.local_ae or CALLING, "-aec", node.ae,
        "-to", str(min(10, node.timeout_s)), "-ta", timeout, "-td", timeout, "-ts", timeout,
        node.host, str(node.port), *names,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"TCP_NODELAY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Retriable(f"sending did not end in {seconds:.0f} s") from None
    except FileNotFoundError:
        raise ConfigurationError(f"{program[0]} is not installed: it is in the package dcmtk") from None
    return (done.stdout + done.stderr).decode(errors="replace"), done.returncode


def _tls(node: KarnakNode) -> list[str]:
    if not node.tls:
        return []
    for field in ("ca_file", "certificate_file", "key_file"):
        file = getattr(node, field)
        if file and not file.is_file():
            raise ConfigurationError(f"{field}: there is no such file")
    own = ["+tls", str(node.key_file), str(node.certificate_file)] if node.certificate_file else ["+tla"]
    return [*own, "+cf", str(node.ca_file)]
