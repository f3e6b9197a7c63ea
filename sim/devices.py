"""The twin's clock, arm and cameras: the same interfaces as the devices of the real arm."""

from __future__ import annotations

import numpy as np

from robot.interfaces import ArmState, Camera, Frame
from sim.physics import Physics
from sim.rendering import SceneRenderer, depth_in_mm
from trajectories.types import Command


class SimClock:
    """Time is the physics' time: sleeping advances the simulation."""

    def __init__(self, physics: Physics) -> None:
        self._physics = physics

    def now_ns(self) -> int:
        """Simulated monotonic ns."""
        return self._physics.now_ns

    def sleep_until_ns(self, t_ns: int) -> None:
        """Simulate up to `t_ns` (whole physics steps); returns at once when that is past."""
        self._physics.step_until(t_ns)


class SimArm:
    """The arm of the twin: goals go to simulated servos, readings come from their state."""

    def __init__(self, physics: Physics) -> None:
        self._physics = physics
        self._joints = physics.arm.size
        self._gripper_limit = float(physics.model.actuator_forcerange[self._joints, 1])
        data, n = physics.data, physics.arm.size
        self._angles, self._velocities, self._forces = data.qpos[:n], data.qvel[:n], data.actuator_force[: n + 1]

    def read(self) -> ArmState:
        """Joint state at the physics' present time."""
        forces = self._forces.copy()
        effort = -float(forces[-1]) / self._gripper_limit
        return ArmState(
            joints=self._angles.copy(),
            velocities=self._velocities.copy(),
            efforts=forces[:-1],
            gripper_width=max(self._physics.gripper_width(), 0.0),
            gripper_effort=min(max(effort, -1.0), 1.0),
            t_ns=self._physics.now_ns,
        )

    def send(self, command: Command) -> None:
        """Set the servos' goals: joint angles (rad) and finger gap (m)."""
        ctrl = self._physics.data.ctrl
        ctrl[: self._joints] = command.joints
        ctrl[self._joints] = command.gripper_width

    def hold(self) -> None:
        """Goal = present position, fingers included."""
        data, n = self._physics.data, self._joints
        data.ctrl[:n] = data.qpos[:n]
        data.ctrl[n] = float(np.clip(self._physics.gripper_width(), 0.0, self._physics.arm.opening))

    @property
    def fault(self) -> str | None:
        """None: nothing ever latches here."""
        return None

    def clear(self, person: str) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Nothing to release: the servos keep their goals."""


class SimCamera:
    """A camera of the scene: renders the present state when asked, once per state of the world.

    Args:
        name: Camera of the model.
        physics: What to look at.
        renderer: Shared by the cameras of a scene.
        size: (height, width) in pixels.
        depth: Whether frames have depth, too.
    """

    def __init__(
        self, name: str, physics: Physics, renderer: SceneRenderer, size: tuple[int, int], depth: bool = False
    ) -> None:
        self.name = name
        self.size = size
        self._depth = depth
        self._physics = physics
        self._renderer = renderer
        self._frame: Frame | None = None
        self._revision = -1

    def latest(self, max_age_ns: int) -> Frame:
        """The present view, uint8 (H, W, 3); it is never older than asked, since it is taken now."""
        if self._frame is None or self._revision != self._physics.revision:
            self._frame = self._look()
            self._revision = self._physics.revision
        return self._frame

    def _look(self) -> Frame:
        if not self._depth:
            return Frame(self._renderer.render(self._physics, self.name, self.size), self._physics.now_ns)
        image, metres = self._renderer.render_deep(self._physics, self.name, self.size)
        return Frame(image, self._physics.now_ns, depth_in_mm(metres))


class LossyCamera:
    """A camera some of whose frames never arrive: in their place the one before is shown, while it is not too old.

    After that the next one is waited for: at 5 steps a second no two steps in a row show an old frame.

    Args:
        camera: Gives a new frame for every state of the world.
        share: Of frames that are lost, 0 ... 1.
        rng: Draws which.
    """

    def __init__(self, camera: Camera, share: float, rng: np.random.Generator) -> None:
        self._camera, self._share, self._rng = camera, share, rng
        self._newest: Frame | None = None
        self._shown: Frame | None = None

    def latest(self, max_age_ns: int) -> Frame:
        """The newest frame that arrived; where that is older than `max_age_ns`, the next one is waited for."""
        newest = self._camera.latest(max_age_ns)
        if newest is not self._newest:
            self._newest = newest
            if self._rng.random() >= self._share:
                self._shown = newest
        if self._shown is None or newest.t_ns - self._shown.t_ns > max_age_ns:
            self._shown = newest
        return self._shown

    def forget(self, rng: np.random.Generator) -> None:
        """Show nothing of before, the scene is another one; `rng` draws what is lost from now on."""
        self._rng, self._shown = rng, None
