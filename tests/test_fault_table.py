"""Three rows of the fault table, through the unmodified drivers; and verdicts and table on made-up courses."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fault_table import table
from benchmarks.faults.play import Course
from benchmarks.faults.rows import ROWS, Answer
from benchmarks.faults.table import markdown, shortened
from benchmarks.faults.truth import Record, Sample, sinking_m_s, spread_mm
from benchmarks.faults.verdicts import judge
from robot.rollout.recovery import GOES_ON

PATIENT = ("robot.max_age=1.0", "+robot.arm={max_age_s: 1.0, on_close: hold, guard: {missing_s: 1.0}}")
"""A busy machine must not cause faults of its own here."""
BY_NAME = {row.name: row for row in ROWS}
MS = 1_000_000


def test_three_faults_on_the_virtual_arm():
    rows = [
        replace(BY_NAME[name], lasts_s=seconds, noticed_s=30.0)
        for name, seconds in (("policy-nan", 1.2), ("unplug", 1.2), ("camera-unplug", 2.2))
    ]
    verdicts = {name: runs[0] for name, runs in table(rows, overrides=PATIENT).items()}
    assert {name: one.complaints for name, one in verdicts.items()} == dict.fromkeys(verdicts, ())
    assert "not seven finite numbers" in verdicts["policy-nan"].told
    assert "port" in verdicts["unplug"].told.lower()
    assert "Camera 'front'" in verdicts["camera-unplug"].told
    assert [one.person for one in verdicts.values()] == [False, True, False]


def course(tips, told_ms=100, free=(), **changes):
    """Samples every 100 ms from the fault on, which lasts as long as they do."""
    samples = [
        Sample(i * 100 * MS, np.array(tip), np.zeros(6), frozenset(free), frozenset(), 0.0)
        for i, tip in enumerate(tips)
    ]
    found = Course(Record([*samples, replace(samples[-1], t_ns=10**12, free=frozenset())]))
    found.end_ns = samples[-1].t_ns
    found.told = [(told_ms * MS, "It broke. Mend it.")]
    found.reasons, found.off_mm, found.works_ns = ["It broke."], 1.0, found.end_ns + 2000 * MS
    for name, value in changes.items():
        setattr(found, name, value)
    return found


STANDS = [(0.25, 0.0, 0.15)] * 30
UNPLUG = BY_NAME["unplug"]


def test_an_arm_that_stands_is_as_it_should_be():
    moved = [(0.24, 0.0, 0.15), *STANDS]
    found = judge(UNPLUG, course(moved))
    assert found.complaints == ()
    assert found.noticed_s == pytest.approx(0.1)
    assert found.held_mm == 0.0
    assert found.stands_s == 0.0  # the last sample elsewhere was the first
    assert found.back_s == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"told_ms": 900}, "noticed after 0.90 s"),
        ({"told": []}, "noticed never"),
        ({"free": (4,)}, r"servos \(4,\) lost their torque"),
        ({"reasons": []}, "a person was not asked"),
        ({"off_mm": None, "trouble": "it is stuck"}, "didn't work again: it is stuck"),
        ({"off_mm": 40.0}, "40 mm from its target"),
        ({"tips": [*STANDS, (0.26, 0.0, 0.15)]}, "moved 10.0 mm"),
        ({"tips": [*STANDS, (0.25, 0.0, 0.10)]}, "fell with 0.50 m/s"),
        ({"told": [(100 * MS, "It broke."), (500 * MS, GOES_ON)]}, "went on before the cause was gone"),
    ],
)
def test_whatever_is_not_as_it_should_be_is_said(wrong, says):
    found = judge(UNPLUG, course(**{"tips": STANDS, **wrong}))
    assert re.search(says, " ".join(found.complaints))


def test_what_is_ridden_out_goes_on_and_is_counted():
    row = BY_NAME["noise"]
    moving = course([(0.25, 0.002 * i, 0.15) for i in range(60)], told=[], reasons=[], counted=7)
    moving.record.counted_ns = 300 * MS
    found = judge(row, moving)
    assert found.complaints == ()
    assert found.noticed_s == pytest.approx(0.3)
    assert "interrupted" in judge(row, replace(moving, told=[(0, "It broke.")])).complaints[0]
    standing = course(STANDS, told=[], reasons=[])
    standing.record.counted_ns = 300 * MS
    assert judge(row, standing).complaints == ("the arm didn't go on moving: 0 mm",)


def test_truth_in_numbers():
    samples = course([(0.0, 0.0, 0.3), (0.003, 0.004, 0.3), (0.0, 0.0, 0.28)]).record.samples[:3]
    assert spread_mm(samples) == pytest.approx(20.0)
    assert sinking_m_s(samples) == pytest.approx(0.2)
    assert spread_mm([]) == sinking_m_s([]) == 0.0


def test_every_row_has_its_own_name_and_time_to_be_noticed():
    assert len(BY_NAME) == len(ROWS)
    for row in ROWS:
        assert row.noticed_s < row.lasts_s
        assert (row.answer is Answer.GOES_ON) == (row.count is not None)


def test_the_table_shows_ranges_and_what_is_wrong():
    good = judge(UNPLUG, course(STANDS))
    text = markdown([UNPLUG], {"unplug": [good, replace(good, noticed_s=0.25)]})
    assert "| 0.10 to 0.25 |" in text
    assert "| It broke. Mend it. |" in text
    assert "torque on all nine servos" in text
    bad = markdown([UNPLUG], {"unplug": [good, replace(good, complaints=("it fell",), free=(2, 3))]})
    assert "**NOT AS IT SHOULD BE**: it fell" in bad
    assert "no torque on servo 2, 3" in bad


def test_a_person_is_told_the_reason_that_says_more():
    assert judge(UNPLUG, course(STANDS)).told == "It broke. Mend it."
    found = judge(UNPLUG, course(STANDS, reasons=["Servo 7 is silent."]))
    assert found.told == "It broke. Mend it. *Then, to be cleared:* Servo 7 is silent."


def test_long_messages_are_cut_between_sentences():
    assert shortened("Short. Done.") == "Short. Done."
    long = f"First. {'a' * 408}. Last one."
    assert shortened(long) == f"First. {'a' * 408}. …"
