"""Kill arms and their learner and cut their network, for an hour, and count the episodes.

    python benchmarks/fleet_soak.py [--minutes 60] [--kills 30] [--cuts 10] [--seed 0] [--into runs/soak]

A `regrasp learner` and four `regrasp actor`s run as they would on five machines, each actor behind a TCP relay of its
own. Actors and learner are killed (SIGKILL) and the network is cut (connections end and are refused, or nothing passes)
at moments drawn from the seed; whatever was killed is started again with the same command. At the end the actors are
asked to end, then the learner; then all are started once more with `finetune.steps` a little above what there is, and
have to end by themselves. The outbox of every actor and the learner's store are looked at 20 times a second, apart from
what either counts: every episode that was in an outbox has to be in the store at the end, once, and `learner.json`, the
actors' counts, the replay and the page have to say what the store holds. Written to `soak.json` and `soak.md` beside
the run; ends with status 1 where something is wrong. An episode that is under way when its actor is killed was never
recorded: that is what `docs/fleet.md` promises, and how often it happened is counted.

The folder is begun anew: what an earlier soak left there but data, policy and judge is deleted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.arms.base import NAMES, make_base
from benchmarks.arms.census import Census, Watch, count
from benchmarks.arms.member import Member
from benchmarks.arms.plan import LEARNER, Kill, NetworkCut, plan
from benchmarks.arms.relay import Relay
from benchmarks.verb import ROOT
from commands.finetune import free_port
from factory.run_folders import tuning_folder
from policies.learner.learner_status import LearnerStatus
from policies.learner.run_folder import EPISODES, STATUS
from trajectories.durable import replace_file

BASE = ("profile=tiny",)
SMALL = (
    "method.batch=64",
    "method.utd=1",
    "finetune.steps=500000",
    "finetune.snapshot_every=5000",
    "task.max_steps=20",
    "agent.compile=false",
)
"""An hour's arms on two cores: what is small is the learning, not the way of the data."""
END_S = 1800.0
"""How long a process may take to end in order, or the last start to its end, s: more than a busy machine needs."""
STOPPED = 130
"""Status of a verb that was asked to end before it had begun to act."""
MORE_STEPS = 400
"""That the last start has to do before it is finished."""


class Soak:
    """The processes, and what happens to them."""

    def __init__(self, run_dir: Path, names: Sequence[str], settings: Sequence[str]) -> None:
        """Start the relays and nothing else."""
        self.folder = tuning_folder(run_dir, "regrasp")
        self.folder.mkdir(parents=True)
        port = free_port()
        self.relays = {name: Relay(port) for name in names}
        shared = [f"run_dir={run_dir}", *settings]
        self.learner = Member(LEARNER, "learner", [*shared, f"link.address=127.0.0.1:{port}"], run_dir / "learner.log")
        self.actors = {
            name: Member(
                name,
                "actor",
                [*shared, f"actor.name={name}", f"link.address=127.0.0.1:{self.relays[name].port}"],
                run_dir / f"{name}.log",
            )
            for name in names
        }
        self.watch = Watch(self.folder, names)
        self.events: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self._begun = time.monotonic()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._paused: set[str] = set()

    @property
    def members(self) -> dict[str, Member]:
        """Every process by name."""
        return {LEARNER: self.learner, **self.actors}

    @property
    def seconds(self) -> float:
        """Since the soak began."""
        return time.monotonic() - self._begun

    def run(self, seconds: float, kills: Sequence[Kill], cuts: Sequence[NetworkCut]) -> None:
        """Let everything run and let it happen."""
        for member in self.members.values():
            member.start()
        self._begun = time.monotonic()
        self._later += [(one.at_s, partial(self._kill, one)) for one in kills]
        self._later += [(one.at_s, partial(self._cut, one)) for one in cuts]
        while self._later or self.seconds < seconds:
            now = self.seconds
            due = sorted((entry for entry in self._later if entry[0] <= now), key=lambda entry: entry[0])
            self._later = [entry for entry in self._later if entry[0] > now]
            for _, happen in due:
                happen()
            self._start_again_what_ended()
            time.sleep(0.05)

    def end(self, *more: str) -> None:
        """Ask all to end, actors first; then start them with further settings, with which they end by themselves."""
        self._end_all(list(self.actors.values()), ask=True)
        self._end_all([self.learner], ask=True)
        steps = LearnerStatus.read(self.folder / STATUS).steps
        self._note("end", f"ended in order at {steps} steps; the last start does {MORE_STEPS} more")
        for member in self.members.values():
            member.start(f"finetune.steps={steps + MORE_STEPS}", *more)
        self._end_all(list(self.members.values()), ask=False)
        self.watch.close()
        for relay in self.relays.values():
            relay.close()

    def _kill(self, kill: Kill) -> None:
        """Kill the victim, or another one where it doesn't run just then."""
        names = [kill.victim, *(name for name in self.members if name != kill.victim)]
        name = next(one for one in names if self.members[one].code is None and one not in self._paused)
        status = self.watch.state(name) if name != LEARNER else None
        doing = "" if status is None else status.state
        self.members[name].kill()
        self._paused.add(name)
        self._note("kill", name, doing=doing, pause_s=round(kill.pause_s, 1))
        self._later.append((self.seconds + kill.pause_s, partial(self._start, name)))

    def _start(self, name: str) -> None:
        self._paused.discard(name)
        self.members[name].start()

    def _cut(self, cut: NetworkCut) -> None:
        for name in cut.arms:
            self.relays[name].cut(cut.how)
        self._note("cut", " ".join(cut.arms), how=cut.how, seconds=round(cut.seconds, 1))

        def mend() -> None:
            for name in cut.arms:
                self.relays[name].mend()

        self._later.append((self.seconds + cut.seconds, mend))

    def _start_again_what_ended(self) -> None:
        """A process that ended though nobody killed it is a fault of its own."""
        for name, member in self.members.items():
            if name not in self._paused and member.code is not None:
                self._fault(f"{name} ended by itself with {member.code}: {member.last_lines()}")
                self._start(name)

    def _end_all(self, members: Sequence[Member], *, ask: bool) -> None:
        for member in members:
            if ask:
                member.ask_to_end()
        for member in members:
            code = member.wait(END_S)
            if code not in ((0, STOPPED) if ask else (0,)):
                self._fault(f"{member.name} ended with {code} instead of in order: {member.last_lines()}")
                member.kill()

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        self._note("fault", text)

    def _note(self, what: str, who: str, **more: Any) -> None:
        steps = None
        if (self.folder / STATUS).exists():
            status = LearnerStatus.read(self.folder / STATUS)
            steps = status.steps
        self.events.append({"s": round(self.seconds, 1), "what": what, "who": who, "steps": steps, **more})
        print(" ".join(f"{key}={value}" for key, value in self.events[-1].items()), flush=True)


def begin_anew(run_dir: Path, settings: Sequence[str]) -> None:
    """Delete what an earlier soak left but data, policy and judge, and make those where they are missing."""
    run_dir.mkdir(parents=True, exist_ok=True)
    make_base(run_dir, *BASE, *(one for one in settings if not one.startswith(("finetune.", "method."))))
    shutil.rmtree(tuning_folder(run_dir, "regrasp"), ignore_errors=True)
    for log in run_dir.glob("*.log"):
        log.unlink()


def printed(verb: str, *settings: str) -> str:
    """What a verb prints."""
    command = [sys.executable, "-m", "commands", verb, *settings, "progress=false"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def table(soak: Soak, census: Census) -> list[str]:
    """The counts as Markdown."""
    columns = (
        "started",
        "killed",
        "in an episode",
        "recorded",
        "stored",
        "waiting",
        "lost",
        "unsure",
        "steps",
        "resets",
    )
    rows = [f"| arm | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    events = soak.events
    for name, arm in census.arms.items():
        cut_short = sum(e["what"] == "kill" and e["who"] == name and e["doing"] == "acting" for e in events)
        first = (soak.actors[name].starts, soak.actors[name].killed, cut_short, arm.recorded, arm.stored, arm.waiting)
        rows.append(_row(name, *first, len(arm.lost), arm.unsure, arm.steps, arm.told.get("resets")))
    learner = soak.learner
    rows.append(
        _row("learner", learner.starts, learner.killed, "", "", census.stored, "", census.lost, "", census.steps, "")
    )
    cuts = [event for event in events if event["what"] == "cut"]
    kills, silent = sum(member.killed for member in soak.members.values()), sum(e["how"] == "silent" for e in cuts)
    minutes, cut_s = soak.seconds / 60, sum(e["seconds"] for e in cuts)
    rows += [
        "",
        f"{minutes:.1f} minutes with the last start, {kills} kills, {len(cuts)} cuts ({silent} of them silent), "
        f"{cut_s:.0f} s cut in all. Lost: {census.lost}. Doubled: {len(census.doubled)} in the store, "
        f"{len(census.replayed_twice)} in the replay. Damaged: {census.damaged}. Ended by themselves: "
        f"{len(soak.faults)}.",
    ]
    return rows


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str]) -> int:
    """Soak, count, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", type=int, default=len(NAMES), choices=range(1, len(NAMES) + 1))
    parser.add_argument("--into", type=Path, default=Path("runs/soak"))
    parser.add_argument("--set", nargs="*", default=[], dest="settings", help="further settings of learner and actors")
    given = parser.parse_args(arguments)
    run_dir = given.into.resolve()
    begin_anew(run_dir, given.settings)
    names, seconds = NAMES[: given.arms], 60 * given.minutes
    settings = [*BASE, *SMALL, *given.settings]
    soak = Soak(run_dir, names, settings)
    try:
        soak.run(seconds, *plan(names, seconds, given.kills, given.cuts, given.seed))
        soak.end()
    finally:
        for member in soak.members.values():
            member.ask_to_end()
    census = count(soak.folder, soak.watch)
    faults = [*soak.faults, *census.faults()]
    inspected = printed("inspect", f"run_dir={run_dir}", f"store={soak.folder / EPISODES}")
    page = printed("watch", f"run_dir={run_dir}", *BASE, "once=true")
    lines = [*table(soak, census), "", *(faults or ["Nothing is wrong."])]
    whole = {"census": asdict(census), "faults": faults, "events": soak.events, "inspect": inspected, "page": page}
    conditions = {key: value for key, value in vars(given).items() if key != "into"}
    replace_file(run_dir / "soak.json", json.dumps({"conditions": conditions, **whole}, indent=1).encode())
    replace_file(run_dir / "soak.md", "\n".join([*lines, "", "```", page.rstrip(), "```", ""]).encode())
    print("\n".join([*lines, "", inspected, page]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
