"""Contacts: objects don't sink into the table, aren't shot away, and the grip is as slippery as was drawn."""

import mujoco
import numpy as np
import pytest

from robot.arms.registry import arm_model
from robot.control.pose import Pose
from robot.rollout.environment import RobotEnv
from sim.experts.scripted import ScriptedExpert
from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS
from sim.scene.scene import Scene
from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.twin import make_twin
from trajectories.errors import SafetyError
from trajectories.types import DIRECTIONS, RobotSpec

AT = (0.28, 0.0)


def press(scene: Scene, height: float, aside: tuple[float, float]) -> list[float]:
    """Height of the thing's bottom, m, in each step while the closed gripper presses on it from above."""
    model = arm_model("wx250s")
    spec = RobotSpec(cameras={}, joints=model.joints)
    env = RobotEnv(scene.arm, {}, scene.clock, spec, model=model)
    env.resync()
    heights = []
    for step in range(50):
        tip = env.kinematics.forward(env.arm_state.joints).position
        z = height + (0.06 if step < 15 else -0.03)
        action = np.zeros(7, np.float32)
        action[:3] = np.clip((np.array([AT[0] + aside[0], AT[1] + aside[1], z]) - tip) / 0.05, -1, 1)
        action[6] = -1.0
        env.apply(action)
        heights.append(float(scene.physics.body_pose("thing")[0][2]))
    return heights


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_nothing_sinks_into_the_table_under_the_closed_gripper(kind):
    for aside in ((0.0, 0.0), (-0.008, 0.006)):
        scene = Scene(SceneSpec((), (ObjectSpec("thing", kind, AT, size=(1.0, 1.0)),)), randomise=False)
        assert min(press(scene, OBJECTS[kind].height, aside)) > -1e-3


@pytest.mark.parametrize("kind", ["sink", "plate", "bin", "rack"])
def test_nothing_stays_sunk_into_the_floor_of_a_fixture(kind):
    """On a round floor the blow itself goes some millimetres deep for an instant: cylinders touch at one point."""
    floor = FIXTURES[kind].floor_height
    spec = SceneSpec((FixtureSpec("place", kind, AT),), (ObjectSpec("thing", "puck", AT, size=(1.0, 1.0)),))
    scene = Scene(spec, randomise=False)
    assert min(press(scene, floor + OBJECTS["puck"].height, (0.004, 0.0))[20:]) > floor - 1e-3


def test_what_a_rough_hand_pinches_is_not_shot_away():
    """A can is wedged between the fingers and the wall of a bowl or the edge of a shelf."""
    twin = make_twin("can_to_shelf", seed=3, cameras=())
    fastest = 0.0
    for direction in DIRECTIONS:
        for seed in range(1000, 1012):
            rng = np.random.default_rng(seed)
            twin.reset(direction, rng)
            expert = ScriptedExpert(twin, direction, rng, noise=0.3)
            for _ in range(25):
                try:
                    twin.env.apply(expert.act(twin.env.observe()))
                except SafetyError:
                    break
                fastest = max(fastest, float(np.abs(twin.scene.physics.body_velocity("can")[:3]).max()))
    twin.close()
    assert 0.05 < fastest < 1.5


def test_the_friction_that_a_grip_holds_by_varies():
    scene, rng = Scene(SceneSpec((), (ObjectSpec("thing", "cube", AT),)), randomise=False), np.random.default_rng(0)
    grips = []
    for _ in range(20):
        scene.randomise(rng)
        width = scene.object("thing").grasp_width
        scene.place("thing", (*AT, 0.0), 0.0)
        pads = [scene.physics.model.geom(name).id for name in ("left_pad", "right_pad")]
        scene.physics.set_arm(_over(scene, scene.object("thing").grasp_height), width - 0.001)
        mujoco.mj_forward(scene.physics.model, scene.physics.data)
        contacts = scene.physics.data.contact
        held = [c.friction[0] for c in contacts if set(pads) & set(c.geom.tolist())]
        assert held
        grips.extend(held)
    assert min(grips) >= 1.2 * 0.85 - 1e-9
    assert max(grips) <= 1.2 * 1.15 + 1e-9
    assert max(grips) - min(grips) > 0.2


def _over(scene: Scene, height: float) -> np.ndarray:
    model = arm_model("wx250s")
    return model.kinematics(model.limits()).inverse(Pose.of((*AT, height), (0.0, 0.0, 0.0)), model.ready)
