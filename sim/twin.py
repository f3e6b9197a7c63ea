"""A twin: the scene of one task behind the same `RobotEnv` as the arm, with resets and the physics predicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robot.arms.registry import arm_model
from robot.control.faults import Clearance, Fault, caused
from robot.interfaces import Camera
from robot.rollout.environment import RobotEnv
from sim.devices import LossyCamera
from sim.scene.scene import Scene
from sim.scene.spec import SHIFTS
from sim.tasks import Task
from sim.tasks.described import task_of
from sim.tasks.task import Spread
from trajectories.errors import ConfigError
from trajectories.types import Direction, RobotSpec
from trajectories.views import camera_of, size_of

_SETTLE_NS = 100_000_000


class Twin:
    """One task's world.

    Attributes:
        task: The task.
        scene: Table, fixtures, objects, arm.
        env: The environment that policies and sessions use.
        spread: Width of the start distribution.
        lab: What looks, sizes and places of fixtures are drawn from at every reset, so that they stay as in one lab;
            None where each reset draws others.
    """

    def __init__(
        self,
        task: Task,
        scene: Scene,
        env: RobotEnv,
        spread: Spread,
        randomise: bool,
        rng: np.random.Generator,
        lossy: Sequence[LossyCamera] = (),
        lab: int | None = None,
    ) -> None:
        self.task = task
        self.scene = scene
        self.env = env
        self.spread = spread
        self.lab = lab
        self._randomise = randomise
        self._rng = rng
        self._home = env.home
        self._lossy = tuple(lossy)

    @property
    def rng(self) -> np.random.Generator:
        """Draws resets for which no other generator is given."""
        return self._rng

    def reset(self, direction: Direction, rng: np.random.Generator | None = None) -> None:
        """A new scene in a start state of `direction`, with the arm in a random home pose.

        Args:
            direction: "forward" or "backward".
            rng: Draws everything; the twin's own if None.
        """
        rng = self._rng if rng is None else rng
        if self._randomise:
            self.scene.randomise(self._of_scene(rng))
        else:
            self.scene.rest()
        self._begin(direction, rng)

    def _of_scene(self, rng: np.random.Generator) -> np.random.Generator:
        """What draws sizes, colours, light, cameras and the places of fixtures."""
        return rng if self.lab is None else np.random.default_rng(self.lab)

    def _begin(self, direction: Direction, rng: np.random.Generator) -> None:
        """The arm in a random home pose and the objects in a start state of `direction`, settled."""
        pose = self.env.kinematics.attainable(self._home.sample(rng))
        near = self.env.arm_state.joints
        self.scene.physics.set_arm(self.env.kinematics.inverse(pose, near), self.env.limits.gripper_open_width)
        self.task.place_start(self.scene, rng, direction, self.spread)
        self.scene.clock.sleep_until_ns(self.scene.clock.now_ns() + _SETTLE_NS)
        for camera in self._lossy:  # what is lost is the scene's, whichever process runs it
            camera.forget(np.random.default_rng(rng.integers(2**63)))
        self.env.resync()

    def rearrange(
        self,
        direction: Direction,
        rng: np.random.Generator,
        randomise: bool | None = None,
        spread: Spread | None = None,
    ) -> None:
        """A new scene in a start state of `direction` around the arm: arm, servos and clock go on as they are.

        The same generator gives the same scene as in `reset`. The objects settle within 0.1 s.

        Args:
            direction: "forward" or "backward".
            rng: Draws everything.
            randomise: Whether sizes, colours, light and cameras are drawn; the twin's own setting if None.
            spread: Start distribution; the twin's own if None.
        """
        randomise = self._randomise if randomise is None else randomise
        self.scene.rearrange(self._of_scene(rng) if randomise else None)
        self._home.sample(rng)
        self.task.place_start(self.scene, rng, direction, self.spread if spread is None else spread)

    def success(self, direction: Direction) -> bool:
        """The physics predicate; for evaluation, resets and scripted experts only."""
        return self.task.success(self.scene, direction)

    def share(self, direction: Direction) -> float | None:
        """Share of the task's parts that are done now, 0 ... 1; None of a task that has no parts."""
        task = self.task
        return task.reached(self.scene, direction) / task.parts if task.parts > 1 else None

    def clear_own_faults(self) -> None:
        """End what the simulation caused; a hold that a person said goes on standing."""
        mine = list(caused(self.env.faults))
        if mine:
            self.env.clear_faults("the twin", mine)

    @property
    def operator(self) -> TwinOperator:
        """Who helps in the twin: a scene reset."""
        return TwinOperator(self)

    def close(self) -> None:
        """Free renderers."""
        self.scene.close()


class TwinOperator:
    """Stands in for the person beside the arm (`robot.interfaces.Operator`)."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def trouble(self) -> str | None:
        """Why the session can't go on, as a person would see it, or None."""
        return self._twin.task.lost(self._twin.scene)

    def help(self, reason: str, direction: Direction) -> None:
        """Reset the scene for `direction`."""
        self._twin.reset(direction)

    def recover(self, faults: Sequence[Fault]) -> Clearance | None:
        """Free the arm by a reset of the scene, which ends what the simulation caused; never a person's hold."""
        mine = caused(faults)
        if len(mine) == len(faults):
            self._twin.reset("forward")
        return Clearance("the twin's operator", mine) if mine else None

    def resume(self, reason: str) -> None:
        """Nobody can be hurt."""


def make_twin(
    task: str,
    *,
    seed: int,
    cameras: Sequence[str] = ("front",),
    image_size: int = 96,
    randomise: bool = True,
    spread: Spread = "wide",
    max_steps: int = 40,
    arm: str = "wx250s",
    depth: Sequence[str] = (),
    description: str = "",
    shift: str = "none",
    frame_loss: float = 0.0,
    lab: int | None = None,
) -> Twin:
    """Compile the twin of a task and reset it for the forward direction.

    Args:
        task: Name in `sim.tasks.TASKS`.
        seed: Of everything random in it.
        cameras: Names of the cameras, any of front, side and wrist, or of views of them (`trajectories.views`); empty
            for none.
        image_size: Height and width of every camera, pixels.
        randomise: Whether each reset varies sizes, colours, light and cameras.
        spread: Start distribution, "narrow" or "wide".
        max_steps: Time limit of an episode through the Gymnasium interface.
        arm: Name in `robot.arms.registry.ARMS`.
        depth: Those of the cameras that give depth, too.
        description: Of a task that is none of `TASKS`, as of `sim.tasks.described`.
        shift: What varies more than in training: a name of `sim.scene.spec.SHIFTS`.
        frame_loss: Share of the cameras' frames that never arrive, 0 ... 1.
        lab: Draws what varies once, so that all resets share it; None where each draws anew.

    Raises:
        ConfigError: For an unknown task, camera, spread, arm or shift, or a share that is none.
    """
    rng = np.random.default_rng(seed)
    chosen, model = task_of(task, description), arm_model(arm)
    if shift not in SHIFTS:
        raise ConfigError(f"There is no shift {shift!r} of the twin's looks; there are {', '.join(SHIFTS)}.")
    if not 0.0 <= frame_loss < 1.0:
        raise ConfigError(f"robot.frame_loss is a share of frames, at least 0 and below 1; got {frame_loss}.")
    scene = Scene(chosen.scene, seed=seed, randomise=randomise, variation=SHIFTS[shift], arm=model)
    sizes = {name: (size_of(name, image_size),) * 2 for name in cameras}
    spec = RobotSpec(cameras=sizes, joints=model.joints, depth=tuple(depth))
    devices: dict[str, Camera] = {
        name: scene.camera(camera_of(name), size, name in depth) for name, size in sizes.items()
    }
    lossy: dict[str, LossyCamera] = {}
    if frame_loss:
        losses = np.random.default_rng([seed, 1])
        lossy = {name: LossyCamera(camera, frame_loss, losses) for name, camera in devices.items()}
    home = replace(model.home, opens=not chosen.tool)
    if SHIFTS[shift].least_start:
        home = home.around(SHIFTS[shift].start * SHIFTS[shift].least_start, SHIFTS[shift].start)
    env = RobotEnv(scene.arm, devices | lossy, scene.clock, spec, model=model, home=home, max_steps=max_steps)
    twin = Twin(chosen, scene, env, spread, randomise, rng, tuple(lossy.values()), lab)
    twin.reset("forward")
    env.instruction = chosen.instructions["forward"][0]
    return twin
