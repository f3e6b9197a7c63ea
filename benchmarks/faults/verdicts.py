"""What came of a fault, judged by the truth: figures, and whatever isn't as the row demands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.faults.play import Course
from benchmarks.faults.rows import Answer, Row
from benchmarks.faults.truth import Sample, sinking_m_s, spread_mm, turned_rad
from drivers.dynamixel.servo_map import WX250S
from robot.rollout.recovery import GOES_ON
from trajectories.numbers import NS_PER_S

_STOPS_S = 0.8
"""From noticing a fault to standing: a control step, the driver's braking, the servos' watchdogs."""
_STANDS_MM = 2.0
_ASLEEP_RAD = 0.15
_STRAY_RAD = 0.06
"""Age of a joint state, and of the truth that it is compared with, times the speed of a gentle motion."""
_OFF_MM = 10.0
_MOVES_MM = 50.0


@dataclass(frozen=True)
class Verdict:
    """A row's outcome.

    Attributes:
        name: The row's.
        noticed_s: From the fault to the first line for people or the counter's rise; None: never.
        stands_s: From the fault until the tip stayed within 2 mm.
        held_mm: How far the tip moved from when it had to stand until the cause was removed.
        sinks_m_s: Fastest fall of the tip before a person cleared the fault.
        turned_rad: (6,) how far every joint turned while it had to stand.
        free: Servos that were without torque.
        tripped: Servos that reported a hardware error.
        mode: Of the driver while the fault lasted.
        stray_rad: Largest difference between reported and true joints.
        counted: How far the row's counter rose.
        sank_mm: How far the tip sank from the removal of the cause until the session went on.
        told: What a person was told: the first line, and the reason why to clear a fault where that says more.
        person: Whether a person was asked to clear the fault.
        back_s: From the removal of the cause until the robot had gone home and on to a place.
        off_mm: Between tip and target there; None: it didn't get there.
        complaints: What isn't as the row demands; empty: all is well.
    """

    name: str
    noticed_s: float | None
    stands_s: float
    held_mm: float
    sinks_m_s: float
    turned_rad: tuple[float, ...]
    free: tuple[int, ...]
    tripped: tuple[int, ...]
    mode: str
    stray_rad: float
    counted: int
    sank_mm: float
    told: str
    person: bool
    back_s: float
    off_mm: float | None
    complaints: tuple[str, ...]


def judge(row: Row, course: Course) -> Verdict:
    """Figures and complaints of a row."""
    record, begin, end = course.record, course.begin_ns, course.end_ns
    noticed_ns = course.told[0][0] if course.told else record.counted_ns
    noticed_s = None if noticed_ns is None else (noticed_ns - begin) / NS_PER_S
    during = record.between(begin, min(end, _resumed_ns(course)))
    still = [one for one in during if one.t_ns >= begin + ((noticed_s or 0.0) + _STOPS_S) * NS_PER_S]
    last = during[-1].tip if during else np.zeros(3)
    moving = [one.t_ns for one in during if 1e3 * float(np.linalg.norm(one.tip - last)) > _STANDS_MM]
    found = Verdict(
        name=row.name,
        noticed_s=noticed_s,
        stands_s=((moving[-1] if moving else begin) - begin) / NS_PER_S,
        held_mm=spread_mm(still),
        sinks_m_s=sinking_m_s(during),
        turned_rad=tuple(turned_rad(still).tolist()),
        free=tuple(sorted(set().union(*(one.free for one in during)))),
        tripped=tuple(sorted(set().union(*(one.tripped for one in during)))),
        mode=course.mode,
        stray_rad=max((one.stray for one in record.samples if one.stray is not None), default=0.0),
        counted=course.counted,
        sank_mm=_sank_mm(record.between(end, max(end, _resumed_ns(course)))),
        told=_told(course),
        person=bool(course.reasons),
        back_s=(course.works_ns - end) / NS_PER_S,
        off_mm=course.off_mm,
        complaints=(),
    )
    return replace(found, complaints=tuple(_complaints(row, found, course)))


def _sank_mm(samples: Sequence[Sample]) -> float:
    return 1e3 * max((float(samples[0].tip[2] - one.tip[2]) for one in samples), default=0.0)


def _told(course: Course) -> str:
    line = course.told[0][1] if course.told else ""
    more = next((reason for reason in course.reasons if reason not in line), "")
    return f"{line} *Then, to be cleared:* {more}" if more else line


def _resumed_ns(course: Course) -> float:
    """When the session first went on."""
    return next((t_ns for t_ns, line in course.told if line == GOES_ON), float("inf"))


def _complaints(row: Row, found: Verdict, course: Course) -> Iterator[str]:
    """What the row demands and didn't get."""
    if found.noticed_s is None or found.noticed_s > row.noticed_s:
        when = "never" if found.noticed_s is None else f"after {found.noticed_s:.2f} s"
        yield f"noticed {when} instead of within {row.noticed_s:g} s"
    if found.sinks_m_s > row.sinks_m_s:
        yield f"the tip fell with {found.sinks_m_s:.2f} m/s, at most {row.sinks_m_s:g} are allowed"
    if set(found.free) != row.frees:
        yield f"servos {found.free} lost their torque, expected {sorted(row.frees)}"
    if set(found.tripped) != row.trips:
        yield f"servos {found.tripped} tripped, expected {sorted(row.trips)}"
    if found.stray_rad > _STRAY_RAD:
        yield f"a joint was reported {found.stray_rad:.2f} rad from where it was"
    if found.person != row.person:
        yield f"a person was {'' if found.person else 'not '}asked to clear it"
    if found.off_mm is None:
        yield f"it didn't work again: {course.trouble}"
    elif found.off_mm > _OFF_MM:
        yield f"afterwards the tip was {found.off_mm:.0f} mm from its target"
    if course.record.samples and course.record.samples[-1].free:
        yield f"at the end servos {sorted(course.record.samples[-1].free)} had no torque"
    if _resumed_ns(course) < course.end_ns and not row.passes:
        yield "the session went on before the cause was gone"
    yield from _answered(row, found, course)


def _answered(row: Row, found: Verdict, course: Course) -> Iterator[str]:
    """Whether the arm did what it must while the fault lasted."""
    during = course.record.between(course.begin_ns, course.end_ns)
    if not during:
        yield "nobody saw what happened"
    elif row.answer is Answer.HOLDS and found.held_mm > row.held_mm:
        yield f"the tip moved {found.held_mm:.1f} mm while it should have stood, at most {row.held_mm:g} are allowed"
    elif row.answer is Answer.RESTS:
        away = float(np.abs(during[-1].joints - WX250S.sleep).max())
        if away > _ASLEEP_RAD:
            yield f"it didn't get to its sleep pose: a joint was {away:.2f} rad from it"
    elif row.answer is Answer.GOES_ON:
        if course.told:
            yield f"the session was interrupted: {course.told[0][1]}"
        if spread_mm(during) < _MOVES_MM:
            yield f"the arm didn't go on moving: {spread_mm(during):.0f} mm"
