"""Who stands in for the person in simulations clears what the simulation caused, and never what a person said."""

from types import SimpleNamespace

import numpy as np

from robot.control.faults import Fault
from sim.twin import Twin, TwinOperator
from sim.virtual.operator import VirtualOperator

OVERLOAD = Fault("ab1", "servo 2 reports overload")
REST = Fault("ab2", "servo 3 is hot", "rest")
HOLD = Fault("ab3", "Ada said hold", "hold")


def check(operator):
    word = operator.recover((OVERLOAD, HOLD, REST))
    assert word.ids == ("ab1", "ab2")
    assert "operator" in word.person
    assert operator.recover((HOLD,)) is None
    operator.resume("the camera was slow")


def test_the_virtual_arms_operator_leaves_a_hold_to_people():
    check(VirtualOperator(None, None, None, np.random.default_rng(0)))


def test_the_twins_operator_leaves_a_hold_and_the_scene_to_people():
    resets = []
    operator = TwinOperator(SimpleNamespace(reset=resets.append))
    check(operator)
    assert resets == []  # the scene of somebody who said hold stays as it is
    assert operator.recover((OVERLOAD,)).ids == ("ab1",)
    assert resets == ["forward"]


def test_what_runs_without_people_in_the_twin_goes_on_after_its_own_faults_only():
    cleared = []
    env = SimpleNamespace(faults=(OVERLOAD, HOLD), clear_faults=lambda person, ids: cleared.append(ids))
    Twin.clear_own_faults(SimpleNamespace(env=env))
    assert cleared == [["ab1"]]
    env.faults = (HOLD,)
    Twin.clear_own_faults(SimpleNamespace(env=env))
    assert len(cleared) == 1
