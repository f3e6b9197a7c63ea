"""One row of the table: work, go wrong, look what comes of it, remove the cause, work again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial

from benchmarks.faults.bench import Bench
from benchmarks.faults.rows import Row
from benchmarks.faults.session import Session
from benchmarks.faults.truth import Record, watched
from robot.rollout.recovery import RECOVERABLE
from trajectories.errors import RegraspError
from trajectories.numbers import NS_PER_S

_BEFORE_S = 0.8
_AFTER_S = 0.5
_UNTIL_KILL_S = 1.0
_AGAIN = 4


@dataclass
class Course:
    """What happened in a row.

    Attributes:
        record: The truth.
        begin_ns: When the fault was asked for.
        end_ns: When its cause was gone.
        mode: What the arm's driver did just before that; "gone" without one.
        told: Lines for people since the beginning, with their monotonic ns.
        reasons: For which a person was asked to clear a fault.
        counted: How far the row's counter rose.
        off_mm: Between tip and target after the recovery; None: the robot didn't work again.
        trouble: Why it didn't.
        works_ns: When it had proved that it works again.
    """

    record: Record
    begin_ns: int = 0
    end_ns: int = 0
    mode: str = "gone"
    told: list[tuple[int, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    counted: int = 0
    off_mm: float | None = None
    trouble: str = ""
    works_ns: int = 0


class _Fault(threading.Thread):
    """Injects a fault a moment after its start, and removes the cause."""

    def __init__(self, row: Row, bench: Bench, course: Course) -> None:
        super().__init__(name="fault", daemon=True)
        self.error: BaseException | None = None
        self._row, self._bench, self._course = row, bench, course

    def run(self) -> None:
        """The thread."""
        row, bench, course = self._row, self._bench, self._course
        try:
            time.sleep(_BEFORE_S)
            if row.count is not None:
                course.record.count_from = row.count(bench)
            course.begin_ns = time.monotonic_ns()
            row.inject(bench)
            time.sleep(row.lasts_s)
            course.mode = bench.arm.mode.value
            row.heal(bench)
        except BaseException as error:
            self.error = error
        finally:
            course.end_ns = time.monotonic_ns()
            bench.person.gone.set()


def play(row: Row, bench: Bench) -> Course:
    """Play a row; the bench is open before and afterwards, and has shown that it works.

    Raises:
        RegraspError: When the robot didn't even work before, or the fault couldn't be injected.
    """
    bench.ready()
    bench.person.ends_holds = row.ends_holds
    return _play_killed(row, bench) if row.kills_session else _play(row, bench)


def _play(row: Row, bench: Bench) -> Course:
    count = None if row.count is None else partial(row.count, bench)
    with watched(bench.world.folder, bench.arm_state, count) as record:
        course = Course(record)
        fault = _Fault(row, bench, course)
        fault.start()
        bench.drive(lambda: bench.person.gone.is_set() and time.monotonic_ns() > course.end_ns + _AFTER_S * NS_PER_S)
        fault.join()
        if fault.error is not None:
            raise fault.error
        course.counted = count() - (record.count_from or 0) if count else 0
        _prove(bench, course)
    folder = f"{bench.world.folder}/"
    course.reasons = [reason.replace(folder, "") for reason in bench.person.reasons]
    course.told = [(t_ns, line.replace(folder, "")) for t_ns, line in bench.told if t_ns >= course.begin_ns]
    return course


def _play_killed(row: Row, bench: Bench) -> Course:
    """The session of another process is killed, and this one takes the arm over."""
    bench.shut()
    with Session(bench.world.folder) as session, watched(bench.world.folder, bench.arm_state) as record:
        course = Course(record)
        time.sleep(_BEFORE_S)
        row.inject(bench)
        time.sleep(_UNTIL_KILL_S)
        course.begin_ns = session.kill()
        time.sleep(row.lasts_s)
        row.heal(bench)
        course.end_ns = time.monotonic_ns()
        bench.person.gone.set()
        bench.open()
        _prove(bench, course)
        course.reasons = list(bench.person.reasons)
        course.told = sorted((*session.told, *bench.told))
    return course


def _prove(bench: Bench, course: Course) -> None:
    """Show that the robot works again, as a session goes on: home, then a motion; errors lead to its recovery."""
    for _ in range(_AGAIN):
        try:
            course.off_mm = bench.reach()
            break
        except RECOVERABLE as error:
            course.trouble = str(error)
            try:
                bench.recovery.after(error)
            except RegraspError as again:
                course.trouble = str(again)
                break
    course.works_ns = time.monotonic_ns()
