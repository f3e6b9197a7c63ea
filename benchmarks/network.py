"""A learner and an actor over a wire that is slow, lossy, out of order, or cut: what is lost, missed, said, and when.

    python benchmarks/network.py [--seconds 60] [--partition 60] [--robot virtual] [--into runs/network]

As root, with iproute2. Makes two network namespaces, a wire between them that does what `tc netem` does
(`benchmarks/wire/emulator.py`: some kernels have no netem), certificates with `regrasp certificates`, and runs
`regrasp learner` in one and `regrasp actor` in the other, with the tiny profile and small updates. They run through all
conditions one after the other, so many seconds each. What is lost or doubled is counted from the stores of both, missed
control ticks from the time stamps of the joints, and what either said from its output. Writes `network.md` and
`network.json` beside the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.arms.base import make_base
from benchmarks.verb import regrasp
from benchmarks.wire.census import Count, Recorded, count
from benchmarks.wire.emulator import Netem
from benchmarks.wire.member import Member
from benchmarks.wire.namespaces import ACTOR, ADDRESSES, LEARNER, SILENCE, Wire
from commands.watch.fleet import view_of
from factory.run_folders import data_folder, tuning_folder
from policies.learner.learner_status import LearnerStatus
from policies.learner.run_folder import STATUS
from trajectories.durable import replace_file
from trajectories.errors import ConfigError

SMALL = (
    "method.batch=64", "method.utd=1", "finetune.steps=500000", "finetune.snapshot_every=100000", "task.max_steps=20",
    "agent.compile=false",
)  # fmt: skip
"""What is small is the learning, not the way of the data."""
PORT = 50051
CONDITIONS = {
    "none": Netem(),
    "50 ± 20 ms": Netem(delay_s=0.05, jitter_s=0.02),
    "5 % loss": Netem(loss=0.05),
    "25 % out of order": Netem(delay_s=0.01, reorder=0.25),
    "1 Mbit/s": Netem(rate_bit_s=1e6),
    "all of them": Netem(0.05, 0.02, 0.05, 0.25, 1e6),
}
"""What happens to every packet of either direction: a round trip has each twice."""
BOUND_S = 2.5
"""Within which either has to say that the other is away."""
_LOOK_S = 0.05
_START_S = 600.0
_AGAIN_S = 30.0
"""How long a partition's row goes on after it, s."""


@dataclass
class Row:
    """A condition, and what was seen meanwhile.

    Attributes:
        name: Of the condition.
        begin: Unix time, s.
        end: Unix time, s.
        sent: Side -> bytes that it put on the wire.
        said: Side -> seconds until it said that the other is away; of a partition.
        page: Seconds until the learner's status file said so.
        again: Side -> seconds from the end of the partition until it said that the other is there again.
        false_alarms: How often one said that the other is away without a partition.
        probe: Of `benchmarks.wire.probe`; None where the policy wasn't fetched.
        count: What became of the episodes.
    """

    name: str
    begin: float = 0.0
    end: float = 0.0
    sent: dict[str, int] = field(default_factory=dict)
    said: dict[str, float | None] = field(default_factory=dict)
    page: float | None = None
    again: dict[str, float | None] = field(default_factory=dict)
    false_alarms: int = 0
    probe: dict[str, Any] | None = None
    count: Count | None = None


class Run:
    """The processes at both ends, and what is seen of them."""

    def __init__(self, wire: Wire, run_dir: Path, robot: str, settings: Sequence[str]) -> None:
        """Make certificates and start learner and actor."""
        self.folder = tuning_folder(run_dir, "regrasp" if robot == "twin" else f"regrasp_{robot}")
        shutil.rmtree(self.folder, ignore_errors=True)
        certificates = run_dir / "certificates"
        shutil.rmtree(certificates, ignore_errors=True)
        regrasp("certificates", f"folder={certificates}")
        for side, address in ADDRESSES.items():
            regrasp("certificates", f"folder={certificates}", f"machine={side}", f"names=[{address}]")
        self.wire, self.recorded = wire, Recorded(self.folder)
        self._members: dict[str, Member] = {}
        self._address = f"{ADDRESSES[LEARNER]}:{PORT}"
        shared = [f"run_dir={run_dir}", "profile=tiny", f"robot={robot}", *SMALL, *settings, "progress=false"]
        for side in (LEARNER, ACTOR):
            files = [f"link.{name}={certificates / side / name}.pem" for name in ("certificate", "key", "authority")]
            command = ["-m", "commands", side, *shared, *files, f"link.address={self._address}"]
            self._members[side] = Member(wire, side, command, run_dir / f"{side}.log")
        pem = [str(certificates / ACTOR / f"{name}.pem") for name in ("certificate", "key", "authority")]
        places = [str(run_dir / "pretrained"), str(data_folder(run_dir))]
        command = ["-m", "benchmarks.wire.probe", self._address, *places, *pem]
        self._probe = Member(wire, ACTOR, command, run_dir / "probe.log")

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Look at everything until something is so; whether it is.

        Raises:
            RuntimeError: Learner or actor ended.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.recorded.look()
            for member in (*self._members.values(), self._probe):
                member.look()
                if member.process.poll() is not None:
                    last = "\n".join(line for _, line in member.said[-30:])
                    raise RuntimeError(f"a process ended by itself with {member.process.poll()}:\n{last}")
            if until():
                return True
            time.sleep(_LOOK_S)
        return until()

    def begin(self) -> None:
        """Wait until both work and there is a policy to fetch.

        Raises:
            RuntimeError: They don't.
        """

        def works() -> bool:
            with suppress(OSError, ValueError):
                return LearnerStatus.read(self.folder / STATUS).version > 0 and bool(self._probe.said)
            return False

        if not self.wait(_START_S, works):
            raise RuntimeError(f"learner and actor have not made a policy after {_START_S:g} s")

    def condition(self, name: str, netem: Netem, seconds: float) -> Row:
        """Let the wire do that for a while."""
        self.wire.set(netem)
        row = self._begun(name)
        self.wait(seconds)
        row.probe = self._fetch()
        row.end = time.time()
        row.sent = {side: self.wire.sent_bytes(side) - before for side, before in row.sent.items()}
        row.false_alarms = sum(len(self._lines(side, "is away", row.begin, row.end)) for side in self._members)
        return row

    def partition(self, seconds: float) -> Row:
        """Cut the wire for so long."""
        self.wire.set(Netem())
        self.wait(5.0)
        self.wire.set(SILENCE)
        row = self._begun(f"partition of {seconds:g} s")
        self.wait(seconds, lambda: self._note_page(row))
        self.wait(row.begin + seconds - time.time())
        self.wire.set(Netem())
        mended = time.time()
        self.wait(_AGAIN_S)
        row.end = time.time()
        row.sent = {side: self.wire.sent_bytes(side) - before for side, before in row.sent.items()}
        for side in self._members:
            away = self._lines(side, "is away", row.begin, mended)
            back = self._lines(side, "is back, after", mended, row.end)
            row.said[side] = away[0] - row.begin if away else None
            row.again[side] = back[0] - mended if back else None
        return row

    def end(self) -> None:
        """Let both end in order."""
        self.wire.set(Netem())
        self.wait(10.0)
        self.close()
        self.recorded.look()

    def close(self) -> None:
        """End every process, the actor first, which sends what it has."""
        self._probe.end()
        for side in (ACTOR, LEARNER):
            if side in self._members:
                self._members[side].end()

    def _begun(self, name: str) -> Row:
        return Row(name, begin=time.time(), sent={side: self.wire.sent_bytes(side) for side in self._members})

    def _lines(self, side: str, words: str, begin: float, end: float) -> list[float]:
        """When a side said something, Unix time."""
        said = self._members[side].said
        return [when for when, line in said if begin <= when < end and words in line and "'probe'" not in line]

    def _note_page(self, row: Row) -> bool:
        """Whether the learner's page says that the actor is away."""
        with suppress(OSError, ValueError):
            now = time.time()
            actors = view_of(LearnerStatus.read(self.folder / STATUS), now)["actors"]
            if not any(one["alive"] for one in actors if one["name"] != "probe"):
                row.page = now - row.begin
        return row.page is not None

    def _fetch(self) -> dict[str, Any] | None:
        """What the policy takes to arrive at an actor that has just come."""
        before = len(self._probe.said)
        self._probe.tell("fetch")
        self.wait(120.0, lambda: any(line.startswith("{") for _, line in self._probe.said[before:]))
        answers = [line for _, line in self._probe.said[before:] if line.startswith("{")]
        return dict(json.loads(answers[0])) if answers else None


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as Markdown."""
    columns = (
        "network", "episodes", "transitions stored", "lost", "doubled", "ticks missed an episode", "kB of an episode",
        "kB as sent", "kB/s from the actor", "connected after", "policy after", "kB of the policy", "false alarms",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        counted, probe = row.count, row.probe
        if counted is None:
            continue
        rate = f"{row.sent[ACTOR] / (row.end - row.begin) / 1e3:.1f}"
        fetched = ("–", "–", "–")
        if probe is not None:
            fetched = (f"{probe['hello_s']:.2f} s", f"{probe['policy_s']:.2f} s", f"{probe['bytes'] / 1e3:.0f}")
        missed = f"{counted.missed / counted.stored:.1f}" if counted.stored else "–"
        cells = (
            row.name, counted.episodes, counted.transitions, counted.lost, counted.doubled, missed,
            f"{counted.raw_bytes / 1e3:.0f}", f"{counted.message_bytes / 1e3:.0f}", rate, *fetched, row.false_alarms,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for row in rows:
        if row.said:
            lines += ["", f"{row.name}: " + "; ".join(_spoken(row))]
    return lines


def _spoken(row: Row) -> Iterator[str]:
    for side, seconds in row.said.items():
        yield f"the {side} said that the other is away after {_seconds(seconds)}"
    yield f"the learner's page after {_seconds(row.page)}"
    for side, seconds in row.again.items():
        yield f"the {side} said that it is there again {_seconds(seconds)} after the end"


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def faults(rows: Sequence[Row]) -> list[str]:
    """What should not be."""
    found = []
    for row in rows:
        if row.count is None or not row.count.episodes:
            found.append(f"{row.name}: nothing was recorded")
        elif row.count.lost or row.count.doubled:
            found.append(f"{row.name}: {row.count.lost} lost, {row.count.doubled} doubled")
        if row.said:
            late = [one for one in (*row.said.values(), row.page) if one is None or one > BOUND_S]
            found += [f"{row.name}: said after {_seconds(one)}, expected {BOUND_S:g} s" for one in late]
    return found


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends what is inside as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str]) -> int:
    """Run through the conditions, count, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each condition")
    parser.add_argument("--partition", type=float, default=60.0, help="seconds")
    parser.add_argument("--robot", choices=("twin", "virtual"), default="virtual")
    parser.add_argument("--into", type=Path, default=Path("runs/network"))
    parser.add_argument("--set", nargs="*", default=[], dest="settings", help="further settings of learner and actor")
    given = parser.parse_args(arguments)
    run_dir = given.into.resolve()
    rows: list[Row] = []
    try:
        with ended_by_signals(), Wire() as wire:
            make_base(run_dir, "profile=tiny")
            run = Run(wire, run_dir, given.robot, given.settings)
            try:
                run.begin()
                for name, netem in CONDITIONS.items():
                    rows.append(run.condition(name, netem, given.seconds))
                    print(rows[-1], flush=True)
                rows.append(run.partition(given.partition))
                print(rows[-1], flush=True)
                run.end()
            finally:
                run.close()
    except ConfigError as error:
        print(f"network.py: {error}", file=sys.stderr)
        return 2
    for row, counted in zip(rows, count(run.folder, run.recorded.ids, [(r.begin, r.end) for r in rows]), strict=True):
        row.count = counted
    wrong = faults(rows)
    lines = [*table(rows), "", *(wrong or ["Nothing is wrong."])]
    conditions = {key: value for key, value in vars(given).items() if key != "into"}
    whole = {"conditions": conditions, "rows": [asdict(row) for row in rows], "faults": wrong}
    replace_file(run_dir / "network.json", json.dumps(whole, indent=1).encode())
    replace_file(run_dir / "network.md", "\n".join([*lines, ""]).encode())
    print("\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
