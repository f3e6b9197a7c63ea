"""How regularly the arm's control loop runs beside a busy session: as a thread of it, and in a process of its own.

    python benchmarks/arm_loop.py                           both, a minute each; a table for people
    python benchmarks/arm_loop.py --json                    one JSON object on standard output
    python benchmarks/arm_loop.py --minutes 60 --rate 50    soak: only the process, for that long
    python benchmarks/arm_loop.py --idle                    the session only sends and reads
    python benchmarks/arm_loop.py --idle --learner 1        beside a learner at full load, of one thread

The nine servos are virtual, on a pseudo-terminal, in a process of their own; replies take the time that 1 Mbps takes.
Real servos don't share the computer's processor: where permitted, the virtual ones get real-time priority.
The session sends gentle random targets at 50 Hz and reads the joint state each time; unless it is idle, another thread
of it computes in Python without a break, as a policy might. `late` is the time from when a cycle was due to its start;
cycles that were left out count as late. All figures are over the whole run, in constant memory. Progress goes to
standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from drivers.widowx.arm import WidowX
from drivers.widowx.process import ProcessWidowX
from drivers.widowx.setpoints import MotionLimits
from drivers.widowx.settings import ArmSettings
from drivers.widowx.statistics import Histogram, LoopReport
from sim.virtual.pty import PtyProcess
from trajectories.errors import DeviceError, RegraspError, SafetyError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command

SEND_HZ = 50.0
TARGET_S = 1.0
REACH_RAD = 0.2
SERVO_PRIORITY = 20
GENTLE = MotionLimits(0.8, 4.0)
LATENCY_S = 0.05
"""Virtual servos answer late when other programs have the processor."""
CLEARINGS = 20
CLEARING_S = 0.5
WORK = 20_000
"""Additions between two looks at whether to stop."""


def like_hardware(pid: int) -> None:
    """Let all threads of the virtual servos run whenever they have something to do, if that is permitted."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(SERVO_PRIORITY))


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """A thread that computes as long as the context lasts, if `wanted`."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(i * i for i in range(WORK))

    thread = threading.Thread(target=compute, name="policy")
    if wanted:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if wanted:
            thread.join()


@contextmanager
def learner(threads: int | None) -> Iterator[None]:
    """Updates without a break in another process, with that many threads; None: no learner.

    Idle threads sleep, as in a learner that `regrasp` starts, unless OMP_WAIT_POLICY says otherwise.
    """
    if threads is None:
        yield
        return
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    command = [sys.executable, "-m", "benchmarks.updates.endless", str(threads)]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


class Session:
    """Moves an arm along random targets and looks at what that costs.

    Attributes:
        sends: Duration of `send`, s.
        ages: Age of the joint state when it is read, s.
        stale: Joint states that were refused.
        faults: What the arm took no commands for; each was cleared.
    """

    def __init__(self, arm: WidowX | ProcessWidowX) -> None:
        self.sends, self.ages = Histogram(), Histogram()
        self.stale = 0
        self.faults: list[str] = []
        self._arm = arm
        self._rng = np.random.default_rng(0)
        self._start = arm.read().joints
        self._target, self._left = self._start, 0

    def step(self) -> None:
        """One send and one read."""
        if self._left == 0:
            self._left = round(TARGET_S * SEND_HZ)
            self._target = self._start + self._rng.uniform(-REACH_RAD, REACH_RAD, len(self._start))
        self._left -= 1
        begin = time.perf_counter()
        try:
            self._arm.send(Command(self._target, 0.02, time.monotonic_ns()))
            self.sends.add(time.perf_counter() - begin)
        except (SafetyError, DeviceError) as error:
            self.faults.append(str(error))
            self._clear(error)
        try:
            self.ages.add((time.monotonic_ns() - self._arm.read().t_ns) / NS_PER_S)
        except StaleDataError:
            self.stale += 1

    def _clear(self, error: RegraspError) -> None:
        """Clear a fault as a person would, who tries again while the computer is still busy."""
        for _ in range(CLEARINGS):
            time.sleep(CLEARING_S)
            try:
                self._arm.clear("the benchmark", [fault.id for fault in self._arm.faults])
            except (SafetyError, DeviceError):
                continue
            return
        raise error


def progress(who: str, elapsed_s: float, report: LoopReport, faults: int) -> None:
    """A line for people on standard error."""
    print(
        f"{who} {elapsed_s:6.0f} s: {report.cycles} cycles, period p50 {1e3 * report.period_p50_s:.2f} "
        f"p99 {1e3 * report.period_p99_s:.2f} ms, late p99 {1e3 * report.late_p99_s:.2f} ms, missed {report.missed}, "
        f"incomplete {report.incomplete}, retries {report.bus_retries}, faults {faults}",
        file=sys.stderr,
        flush=True,
    )


def run(who: str, rate: float, seconds: float, computing: bool) -> dict[str, Any]:
    """Figures of one arm ("thread" or "process"), ms unless they are counts."""
    settings = ArmSettings(rate_hz=rate, motion=GENTLE, on_close="hold", latency_s=LATENCY_S)
    with PtyProcess("--wire") as servos:
        like_hardware(servos.process.pid)
        connect = WidowX.connect if who == "thread" else ProcessWidowX.connect
        arm: WidowX | ProcessWidowX = connect(servos.path, settings=settings)
        try:
            session = Session(arm)
            every_s = min(60.0, max(seconds / 6, 1.0))
            begin = due = time.monotonic()
            spoken = begin + every_s
            with busy(computing):
                while (now := time.monotonic()) < begin + seconds:
                    session.step()
                    if now >= spoken:
                        spoken += every_s
                        progress(who, now - begin, arm.report(), len(session.faults))
                    due = max(due + 1.0 / SEND_HZ, time.monotonic() - 1.0)
                    time.sleep(max(due - time.monotonic(), 0.0))
                time.sleep(0.5)  # a process tells of itself four times a second
                report = arm.report()
        finally:
            arm.close()
    return figures(report, session)


def figures(report: LoopReport, session: Session) -> dict[str, Any]:
    """Loop and session, ms unless they are counts."""
    loop = {
        (name.removesuffix("_s") + "_ms" if name.endswith("_s") else name): (
            round(1e3 * value, 3) if name.endswith("_s") and not isinstance(value, str) else value
        )
        for name, value in report.as_dict().items()
    }
    return loop | {
        "send_p50_ms": round(1e3 * session.sends.percentile(50), 4),
        "send_p99_ms": round(1e3 * session.sends.percentile(99), 4),
        "age_p50_ms": round(1e3 * session.ages.percentile(50), 3),
        "age_p99_ms": round(1e3 * session.ages.percentile(99), 3),
        "stale": session.stale,
        "faults": session.faults[:10],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rate", type=float, choices=(50, 100), default=100, help="cycles a second (default 100)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two (default 60)")
    parser.add_argument("--minutes", type=float, help="soak: only the process, for so long")
    parser.add_argument("--idle", action="store_true", help="without the thread that computes")
    parser.add_argument(
        "--learner", type=int, metavar="THREADS", help="beside a learner that computes with so many threads"
    )
    options = parser.parse_args()
    kinds = ("process",) if options.minutes else ("thread", "process")
    seconds = 60.0 * options.minutes if options.minutes else options.seconds
    with learner(options.learner):
        results = {who: run(who, options.rate, seconds, not options.idle) for who in kinds}
    if options.json:
        told = {"rate_hz": options.rate, "seconds": seconds, "idle": options.idle, "learner": options.learner}
        print(json.dumps({**told, **results}))
        return
    session = ("idle" if options.idle else "busy") + (f", learner of {options.learner}" if options.learner else "")
    print(f"{options.rate:.0f} Hz, {seconds:.0f} s, {session} session; ms" + "".join(f"{who:>15}" for who in kinds))
    for name in next(iter(results.values())):
        values = [results[who][name] for who in kinds]
        shown = [len(value) if isinstance(value, list) else value for value in values]
        print(f"{name:32}" + "".join(f"{value:>15}" for value in shown))


if __name__ == "__main__":
    main()
