"""A twin whose world is robosuite's: the same `RobotEnv`, resets and predicate, another project's scene and physics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from robot.arms.wx250s import WX250S
from robot.rollout.environment import RobotEnv
from sim.robosuite.scene import RobosuiteScene
from sim.robosuite.tasks import RobosuiteTask, find_robosuite_task
from sim.scene.scene import Scene
from sim.tasks.task import Spread
from sim.twin import Twin
from trajectories.types import Direction, RobotSpec
from trajectories.views import camera_of, size_of


class RobosuiteTwin(Twin):
    """One of robosuite's tasks behind the twin's interface. Its resets draw what robosuite's own draw."""

    def __init__(
        self, task: RobosuiteTask, scene: RobosuiteScene, env: RobotEnv, spread: Spread, rng: np.random.Generator
    ) -> None:
        super().__init__(task, cast(Scene, scene), env, spread, False, rng)
        self._home = task.home or self._home

    def reset(self, direction: Direction, rng: np.random.Generator | None = None) -> None:
        """A new scene in a start state of `direction`, with the arm in a random home pose.

        Args:
            direction: "forward" or "backward".
            rng: Draws everything; the twin's own if None.
        """
        rng = self._rng if rng is None else rng
        self.scene.rearrange(rng)
        self._begin(direction, rng)

    def rearrange(
        self,
        direction: Direction,
        rng: np.random.Generator,
        randomise: bool | None = None,
        spread: Spread | None = None,
    ) -> None:
        """The same as `reset`: robosuite's reset takes the arm along."""
        self.reset(direction, rng)


def make_robosuite_twin(
    task: str, *, seed: int, cameras: Sequence[str] = ("front",), image_size: int = 96, spread: Spread = "wide"
) -> RobosuiteTwin:
    """Make the world of a task and reset it for the forward direction.

    Args:
        task: Name in `sim.robosuite.tasks.ROBOSUITE_TASKS`.
        seed: Of everything random in it.
        cameras: Names of the cameras, any of `sim.robosuite.scene.CAMERAS`, or of views of them (`trajectories.views`);
            empty for none.
        image_size: Height and width of every camera, pixels.
        spread: Width of the start distribution, see `RobosuiteTask.place_start`.

    Raises:
        ConfigError: For an unknown task or camera.
    """
    chosen: RobosuiteTask = find_robosuite_task(task)
    scene = RobosuiteScene(chosen, tuple(dict.fromkeys(camera_of(name) for name in cameras)))
    sizes = {name: (size_of(name, image_size),) * 2 for name in cameras}
    spec = RobotSpec(cameras=sizes, joints=WX250S.joints)
    devices = {name: scene.camera(camera_of(name), size) for name, size in sizes.items()}
    limits = replace(WX250S.limits(), **dict(chosen.limits))
    env = RobotEnv(scene.arm, devices, scene.clock, spec, model=WX250S, limits=limits, home=chosen.home)
    rng = np.random.default_rng(seed)
    twin = RobosuiteTwin(chosen, scene, env, spread, rng)
    twin.reset("forward")
    env.instruction = chosen.instructions["forward"][0]
    return twin
