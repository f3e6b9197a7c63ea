"""The twin's tasks as Gymnasium environments: `regrasp/PotPickPlace-v0` and so on.

    import gymnasium, sim.register
    env = gymnasium.make("regrasp/BinWeight-v0")
    observation, info = env.reset(seed=0, options={"direction": "backward"})

The reward is -1 a step and 0 once the physics predicate holds, which also terminates: a benchmark for other
people's code. Regrasp itself never learns from this reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from sim.tasks import TASKS
from sim.tasks.task import Spread
from sim.twin import make_twin
from trajectories.errors import ConfigError
from trajectories.types import Direction, Float32, UInt8

NAMESPACE = "regrasp"
MAX_STEPS = 40


def env_id(task: str, variant: str = "") -> str:
    """Gymnasium id of a task, e.g. "regrasp/PotPickPlace-v0" of "pot_pick_place"; the variant stands before "-v0"."""
    return f"{NAMESPACE}/{''.join(part.capitalize() for part in task.split('_'))}{variant}-v0"


class TwinEnv(gymnasium.Env[dict[str, Any], Float32]):
    """A task's twin as a Gymnasium environment.

    Observations are those of `robot.rollout.environment.RobotEnv`: {"images": {camera: uint8 (H, W, 3)}, "proprio":
    float32 (P,), "instruction": str}; actions are float32 (7,) in [-1, 1]. Each reset draws a new scene.

    Attributes:
        max_steps: Control steps after which an episode is truncated.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012  (gymnasium's own)

    def __init__(
        self,
        task: str,
        *,
        cameras: Sequence[str] = ("front",),
        image_size: int = 96,
        randomise: bool = True,
        spread: Spread = "wide",
        max_steps: int = MAX_STEPS,
        render_mode: str | None = None,
    ) -> None:
        """Compile the task's scene.

        Args:
            task: Name in `sim.tasks.TASKS`.
            cameras: Any of front, side and wrist; empty for none, which is faster.
            image_size: Height and width of every camera, pixels.
            randomise: Whether each reset varies sizes, colours, light and cameras.
            spread: Start distribution, "narrow" or "wide".
            max_steps: Control steps after which an episode is truncated.
            render_mode: None or "rgb_array".

        Raises:
            ConfigError: For an unknown task, camera or spread.
        """
        self._twin = make_twin(task, seed=0, cameras=cameras, image_size=image_size, randomise=randomise, spread=spread)
        self._direction: Direction = "forward"
        self.max_steps, self._steps = max_steps, 0
        self.render_mode = render_mode
        self.observation_space = self._twin.env.observation_space
        self.action_space = self._twin.env.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new scene in a start state.

        Args:
            seed: Of everything random from here on.
            options: {"direction": "forward" | "backward"}; forward when it is missing.

        Raises:
            ConfigError: For another option or direction.
        """
        super().reset(seed=seed)
        chosen = dict(options or {})
        direction = chosen.pop("direction", "forward")
        if chosen or direction not in ("forward", "backward"):
            raise ConfigError(f'The only option of reset is {{"direction": "forward" | "backward"}}, got {options!r}.')
        self._direction, self._steps = direction, 0
        self._twin.clear_own_faults()
        self._twin.reset(direction, self.np_random)
        wordings = self._twin.task.instructions[direction]
        self._twin.env.instruction = wordings[int(self.np_random.integers(len(wordings)))]
        return self._observation(), {"direction": direction, "success": False}

    def step(self, action: Float32) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step of 0.2 s.

        Raises:
            SafetyError: When a fault is latched; the next `reset` clears it, a person's hold it doesn't.
        """
        applied = self._twin.env.apply(np.asarray(action, np.float32))
        self._steps += 1
        success = self._twin.success(self._direction)
        info = {
            "direction": self._direction,
            "success": success,
            "executed": applied.executed,
            "clipped": applied.command.clipped,
        }
        truncated = self._steps >= self.max_steps and not success
        return self._observation(), 0.0 if success else -1.0, success, truncated, info

    def render(self) -> UInt8 | None:  # type: ignore[override]
        """The first camera's view, uint8 (H, W, 3); None without render mode."""
        return self._twin.env.render() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free renderers."""
        self._twin.close()

    def _observation(self) -> dict[str, Any]:
        seen = self._twin.env.observe()
        return {"images": dict(seen.images), "proprio": seen.proprio, "instruction": seen.instruction}


def register_all() -> tuple[str, ...]:
    """Register every task with Gymnasium (again is harmless); returns the ids."""
    for task in TASKS:
        if env_id(task) not in gymnasium.registry:
            gymnasium.register(env_id(task), entry_point="sim.register:TwinEnv", kwargs={"task": task})
    return tuple(env_id(task) for task in TASKS)


register_all()
