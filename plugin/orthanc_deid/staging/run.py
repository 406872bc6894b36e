"""One run: its steps in order, each finished by a file; begun again it goes on with the first that is not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..cli.server import Server
from ..errors import DeidError, Rejected
from . import batch, ends, hook, private, studies
from . import push as pushing
from .batch import Pulled, Tell
from .ends import LATER, LineEnd, Told
from .entries import Entry, Mark
from .lists import open_list
from .options import Options
from .run_folder import ANONYMIZE, COMMENTS, HOOK, LOCK, MARK, OVERVIEW, PULL, PUSH, SELECT, RunFolder
from .selection import OTHER_MODALITY, Selection, query, select
from .studies import Rested

CHOSEN, PULLED, ENDS, QUERY = "selection.json", "pulled.json", "ends.json", "query.csv"
VERDICTS = {True: "verdicts_practice.json", False: "verdicts.json"}  # by practice
CHANGED = "lines of the list have changed since the run began: they are not marked"


def go(server: Server, folder: RunFolder, asked: Options, tell: Tell) -> list[LineEnd]:
    """Do what is not done yet of a run, and answer what became of each line.

    Raises
    ------
    Rejected
        The list has faults, or the hook has failed: nothing was pushed.
    Conflict
        Another process is at work on the run.
    """
    with private.locked(folder.path / LOCK) as hold:
        run = _Run(server, folder, asked, tell, hold)
        try:
            run.go()
        except DeidError as error:
            run.write_overview(str(error))
            raise
        run.write_overview()
        return run.ends()


@dataclass
class _Run:
    server: Server
    folder: RunFolder
    asked: Options
    tell: Tell
    hold: int
    notes: list[str] = field(default_factory=list)

    def go(self) -> None:
        steps = self.folder.steps(self.asked)
        for place, step in enumerate(steps, 1):
            checkpoint = self.folder.checkpoint(step, self.asked)
            if checkpoint.exists():
                continue
            self.tell(f"{place}/{len(steps)} {step}")
            private.write(checkpoint, ACTIONS[step](self))

    def select(self) -> str:
        """Choose what is asked for."""
        listed = open_list(Path(self.asked.list))
        found = select(listed.entries(), self.asked.most, self.asked.modalities)
        wanted = {uid for entry in found.chosen for uid in entry.uids}
        comments = [each for each in listed.comments() if each.uid in wanted and each.texts]
        text = "".join(f"{each.uid}:\n" + "".join(f"\t{word}\n" for word in each.texts) for each in comments)
        private.write(self.folder.path / COMMENTS, text)
        asked = query(found.chosen, self.asked.modalities)
        private.write(self.folder.path / QUERY, asked)
        values = {
            "chosen": [entry.values() for entry in found.chosen],
            "refused": [entry.values() for entry in found.refused],
            "beyond": found.beyond,
            "comments": len(comments),
        }
        self.folder.write(CHOSEN, values)
        self.tell(f"  {len(found.chosen)} lines, {found.beyond} more wait for a later run")
        return "".join(f"{uid}\n" for uid in sorted(wanted)) if found.counted else asked

    def pull(self) -> str:
        """Have them fetched."""
        selection = self._selection()
        if not selection.chosen:
            self.folder.write(PULLED, [])
            return "nothing to pull\n"
        number = batch.begin(self.server, self.folder, self.asked, selection)
        self.tell(f"  batch {number}")
        batch.await_end(self.server, number, self.tell)
        found = batch.pulled(self.server, number, selection.chosen)
        self.folder.write(PULLED, [each.values() for each in found])
        return "".join(_pull_line(each) for each in found)

    def anonymize(self) -> str:
        """Wait until all that came is de-identified and verified."""
        lines: dict[str, list[int]] = {}
        for each in self._pulled():
            for study in each.studies:
                lines.setdefault(study, []).append(each.line)
        rested = studies.await_rest(self.server, lines, self.tell)
        self.folder.write(studies.FILE, [each.values() for each in rested])
        self.tell(f"  {sum(each.waits for each in rested)} of {len(rested)} studies are de-identified and wait")
        return "".join(f"{each.id} {each.status}{_why(each.reason)}\n" for each in rested)

    def ask_hook(self) -> str:
        """Have the site's hook decide; what it refuses is rejected, unless this is practice."""
        rested = self._rested()
        if not (self.folder.path / VERDICTS[self.asked.practice]).exists():
            self._ask(rested)
        noted = self._verdicts()
        reasons: Mapping[str, str] = noted["reasons"]
        for study, reason in reasons.items():
            if reason and not self.asked.practice:
                pushing.reject(self.server, study, reason)
        refused = sum(bool(reason) for reason in reasons.values())
        self.tell(f"  {len(reasons) - refused} of {len(reasons)} accepted")
        told = "".join(f"{s} {f'refused: {r}' if r else 'accepted'}\n" for s, r in reasons.items())
        return told + str(noted["text"])

    def _ask(self, rested: list[Rested]) -> None:
        waiting = [each.told() for each in rested if each.waits]
        answer = hook.Answer({each.id: "" for each in waiting})
        if self.asked.hook and waiting:
            asked = self.asked.hook
            answer = hook.ask(asked, self.folder.path, waiting, practice=self.asked.practice, hold=self.hold)
        known = [word for each in rested for word in each.identities]
        reasons = dict(zip(answer.reasons, hook.without_identity(answer.reasons.values(), known), strict=True))
        notes = list(hook.without_identity([*answer.notes, *answer.text.splitlines()], known))
        values = {"reasons": reasons, "notes": notes, "text": answer.text}
        self.folder.write(VERDICTS[self.asked.practice], values)

    def push(self) -> str:
        """Release what is accepted and wait until it has arrived."""
        reasons = self._verdicts()["reasons"]
        released = [each for each in self._rested() if reasons.get(each.id) == ""]
        pushed = pushing.push(self.server, released, self.tell)
        found = self._line_ends(pushed)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.folder.write(ENDS, {"at": at, "ends": [each.values() for each in found]})
        return "".join(f"{study} {end['status']}{_why(end['reason'])}\n" for study, end in pushed.items())

    def mark(self) -> str:
        """Write down in the list what has become of it."""
        selection = self._selection()
        noted = self.folder.read(ENDS)
        by_line = {entry.line: entry for entry in selection.chosen}
        marks = {
            by_line[end["line"]].key: Mark(
                noted["at"], "" if end["end"] == ends.PUSHED else end["reason"] or end["end"]
            )
            for end in noted["ends"]
            if end["end"] in ends.MARKED and end["line"] in by_line
        }
        if not marks:
            return "nothing to mark\n"
        path = Path(self.asked.list)
        found = open_list(path).mark(path, marks)
        if found < len(marks):
            self.notes.append(f"{len(marks) - found} {CHANGED}")
        return f"{found} of {len(marks)} lines are marked\n"

    def ends(self) -> list[LineEnd]:
        """Return what became of each line, as far as the run is."""
        if self.asked.pushes and (self.folder.path / ENDS).exists():
            return [LineEnd(**each) for each in self.folder.read(ENDS)["ends"]]
        return self._line_ends({}) if (self.folder.path / VERDICTS[self.asked.practice]).exists() else []

    def write_overview(self, stopped: str = "") -> None:
        """Write the summary for people."""
        chosen = self._optional(CHOSEN) or {}
        notes = [*(self._optional(VERDICTS[self.asked.practice]) or {}).get("notes", ()), *self.notes]
        number = (self._optional(batch.FILE) or {}).get("id")
        told = Told(
            self.folder.path.name, self.folder.began, self.asked, number, self.ends(), notes,
            chosen.get("beyond", 0), stopped, chosen.get("comments", 0),
        )  # fmt: skip
        private.write(self.folder.path / OVERVIEW, ends.overview(told, datetime.now(UTC)))

    def _line_ends(self, pushed: Mapping[str, Mapping[str, Any]]) -> list[LineEnd]:
        reasons = self._verdicts()["reasons"]
        rested = self._rested()
        by_study = {each.id: ends.study_end(each, reasons.get(each.id, ""), pushed.get(each.id)) for each in rested}
        outputs = {each.id: each.output["orthanc"] for each in rested}
        found = [ends.line_end(each, by_study, outputs) for each in self._pulled()]
        found += [LineEnd(entry.line, LATER, OTHER_MODALITY) for entry in self._selection().refused]
        return sorted(found, key=lambda each: each.line)

    def _selection(self) -> Selection:
        noted = self.folder.read(CHOSEN)
        chosen, refused = ([Entry(**values) for values in noted[name]] for name in ("chosen", "refused"))
        return Selection(chosen, refused, noted["beyond"])

    def _pulled(self) -> list[Pulled]:
        return [Pulled(**values) for values in self.folder.read(PULLED)]

    def _rested(self) -> list[Rested]:
        return [Rested(**values) for values in self.folder.read(studies.FILE)]

    def _verdicts(self) -> Any:  # noqa: ANN401  # JSON
        return self.folder.read(VERDICTS[self.asked.practice])

    def _optional(self, name: str) -> Any:  # noqa: ANN401  # JSON
        return self.folder.read(name) if (self.folder.path / name).exists() else None


def _pull_line(pulled: Pulled) -> str:
    found = pulled.error or pulled.later or f"{len(pulled.studies)} studies"
    return f"line {pulled.line}: {found}\n"


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


ACTIONS: dict[str, Callable[[_Run], str]] = {
    SELECT: _Run.select,
    PULL: _Run.pull,
    ANONYMIZE: _Run.anonymize,
    HOOK: _Run.ask_hook,
    PUSH: _Run.push,
    MARK: _Run.mark,
}


def demand_list(path: Path) -> None:
    """Raise Rejected where a list has faults, before a run is begun."""
    if not path.is_file():
        raise Rejected("the list is no file")
    open_list(path).entries()
