"""What is made to go wrong, and what each fault demands of the robot."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from benchmarks.faults.bench import CAMERA, Bench

_NONE: frozenset[int] = frozenset()


class Answer(Enum):
    """What the arm has to do while a fault lasts."""

    GOES_ON = "goes on"  # nothing that a session notices; a counter rises
    HOLDS = "holds"
    RESTS = "rests"  # to its sleep pose, slowly


def heal(bench: Bench) -> None:
    """Everything that the world can suffer from is over."""
    bench.world.fault("heal")


def injected(what: str, **values: object) -> Callable[[Bench], None]:
    """One of `sim.virtual.fault_injection`."""

    def inject(bench: Bench) -> None:
        bench.world.fault(what, **values)

    return inject


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: For the command line.
        injected: For people.
        inject: Makes it happen; called while the arm moves.
        answer: What the arm must do.
        noticed_s: A session, or the counter, must notice within this time.
        lasts_s: Until the cause is removed.
        person: Whether it must go on only after a person cleared the fault; otherwise it must by itself.
        frees: Servos whose torque the fault itself takes. No other may lose it.
        trips: Servos that trip by the fault itself. No other may.
        sinks_m_s: The tip may not fall faster, m/s, before a person clears the fault.
        held_mm: The tip may not move further once the arm stands.
        count: A counter that must rise, for what is ridden out.
        counted: Its name.
        heal: Removes the cause.
        passes: Whether the robot may go on before the cause is gone: what brings it back needs nobody.
        kills_session: Whether the session itself dies a second later, and another takes the arm over.
        ends_holds: Whether the person who clears it is the one who said hold.
    """

    name: str
    injected: str
    inject: Callable[[Bench], None]
    answer: Answer
    noticed_s: float
    lasts_s: float = 3.0
    person: bool = False
    frees: frozenset[int] = _NONE
    trips: frozenset[int] = _NONE
    sinks_m_s: float = 0.3
    held_mm: float = 3.0
    count: Callable[[Bench], int] | None = None
    counted: str = ""
    heal: Callable[[Bench], None] = heal
    passes: bool = False
    kills_session: bool = False
    ends_holds: bool = False


def _disturbed(bench: Bench) -> int:
    report = bench.arm.report()
    return report.crc_errors + report.bus_timeouts


def _late(bench: Bench) -> int:
    report = bench.arm.report()
    return report.missed + report.bus_timeouts


def _kill_controller(bench: Bench) -> None:
    os.kill(bench.arm.pid, signal.SIGKILL)


def _say_hold(bench: Bench) -> None:
    bench.env.stop("The person at the bench said hold.")


def _hold_and_kill_controller(bench: Bench) -> None:
    _say_hold(bench)
    time.sleep(1.0)
    _kill_controller(bench)


def _silence_and_overload(bench: Bench) -> None:
    bench.world.fault("silent", servo=7)
    time.sleep(1.0)
    bench.world.fault("overload", servo=2)


def _talk_nonsense(bench: Bench) -> None:
    bench.policy.nonsense = True


def _talk_sense(bench: Bench) -> None:
    bench.policy.nonsense = False


def _fall_silent(bench: Bench) -> None:
    bench.policy.silent_until_ns = time.monotonic_ns() + 3_000_000_000


def _nothing(bench: Bench) -> None:
    """It ends by itself."""


ROWS = (
    Row(
        "unplug",
        "USB plug of the servos pulled",
        injected("unplug"),
        Answer.HOLDS,
        0.5,
        person=True,
    ),
    Row(
        "noise",
        "CRC noise: 1 % of the replies damaged, 1 % of the requests not heard",
        injected("line", damaged=0.01, deaf=0.01),
        Answer.GOES_ON,
        5.0,
        lasts_s=8.0,
        count=_disturbed,
        counted="damaged packets and requests without answer",
    ),
    Row(
        "dropped-servo",
        "servo 7 (wrist angle) falls silent",
        injected("silent", servo=7),
        Answer.HOLDS,
        0.6,
        person=True,
    ),
    Row(
        "late-replies",
        "every twentieth reply 20 ms late",
        injected("line", late=0.05, late_s=0.02),
        Answer.GOES_ON,
        2.0,
        lasts_s=6.0,
        count=_late,
        counted="control cycles left out and requests without answer",
    ),
    Row(
        "all-replies-late",
        "every reply 0.2 s late",
        injected("line", late=1.0, late_s=0.2),
        Answer.HOLDS,
        0.6,
        person=True,
    ),
    Row(
        "overload",
        "waist blocked",
        injected("block", servo=1),
        Answer.RESTS,
        3.5,
        lasts_s=9.0,
        person=True,
        sinks_m_s=0.5,
    ),
    Row(
        "overload-trip",
        "servo 2 (shoulder) trips for overload",
        injected("overload", servo=2),
        Answer.HOLDS,
        0.4,
        person=True,
        frees=frozenset((2,)),
        trips=frozenset((2,)),
    ),
    Row(
        "overheating",
        "servo 2 (shoulder) at 75 °C",
        injected("overheating", servo=2, celsius=75.0),
        Answer.RESTS,
        4.0,
        lasts_s=9.0,
        person=True,
        sinks_m_s=0.5,
    ),
    Row(
        "overheating-trip",
        "servo 2 (shoulder) trips at 90 °C",
        injected("overheating", servo=2, celsius=90.0),
        Answer.HOLDS,
        0.4,
        person=True,
        frees=frozenset((2,)),
        trips=frozenset((2,)),
    ),
    Row(
        "brown-out",
        "supply of servo 3 (shoulder shadow) breaks down to 5 V",
        injected("brown-out", volts=5.0, servo=3),
        Answer.HOLDS,
        0.6,
        person=True,
        frees=frozenset((3,)),
    ),
    Row(
        "camera-unplug",
        "camera unplugged",
        injected("unplug", camera=CAMERA),
        Answer.HOLDS,
        1.0,
    ),
    Row(
        "camera-freeze",
        "camera sends the same image again and again",
        injected("freeze", camera=CAMERA),
        Answer.HOLDS,
        3.0,
        lasts_s=5.0,
    ),
    Row(
        "camera-slow",
        "camera sends one frame of ten",
        injected("slow", camera=CAMERA),
        Answer.HOLDS,
        1.5,
        lasts_s=4.0,
    ),
    Row(
        "camera-kill",
        "kill -9 of the camera's process",
        injected("kill", camera=CAMERA),
        Answer.HOLDS,
        1.0,
        heal=_nothing,
        passes=True,
    ),
    Row(
        "policy-nan",
        "policy answers NaN",
        _talk_nonsense,
        Answer.HOLDS,
        0.6,
        heal=_talk_sense,
    ),
    Row(
        "policy-silence",
        "policy says nothing for 3 s",
        _fall_silent,
        Answer.HOLDS,
        1.6,
        heal=_nothing,
    ),
    Row(
        "kill-controller",
        "kill -9 of the controller (the arm's process)",
        _kill_controller,
        Answer.HOLDS,
        0.6,
        person=True,
        heal=_nothing,
    ),
    Row(
        "kill-actor",
        "kill -9 of the actor (the session)",
        _nothing,
        Answer.HOLDS,
        0.6,
        kills_session=True,
        heal=_nothing,
    ),
    Row(
        "hold",
        "a person says hold",
        _say_hold,
        Answer.HOLDS,
        0.6,
        person=True,
        heal=_nothing,
        ends_holds=True,
    ),
    Row(
        "hold-kill-controller",
        "a person says hold; a second later kill -9 of the arm's process",
        _hold_and_kill_controller,
        Answer.HOLDS,
        0.6,
        lasts_s=6.0,
        person=True,
        heal=_nothing,
        ends_holds=True,
    ),
    Row(
        "second-fault",
        "servo 7 (wrist angle) falls silent; a second later servo 2 (shoulder) trips for overload",
        _silence_and_overload,
        Answer.HOLDS,
        0.6,
        person=True,
        frees=frozenset((2,)),
        trips=frozenset((2,)),
    ),
    Row(
        "fault-kill-actor",
        "servo 7 (wrist angle) falls silent; a second later kill -9 of the actor (the session)",
        injected("silent", servo=7),
        Answer.HOLDS,
        0.6,
        person=True,
        kills_session=True,
    ),
)
