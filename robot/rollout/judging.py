"""When the reward model judges: between two control steps, or beside the next one's motion; is it fast enough?

The controller lets an action that comes later than half a period miss its time of the grid
(`robot.control.controller`), so between two steps there is half a period for judge and policy together. A slower judge
works beside the motion of the next step, on the observation before it, and its decision comes one step later. One that
takes longer than a step would let the robot run at a fraction of its rate, and is refused before anything moves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from robot.control.controller import LATEST_START
from robot.interfaces import Policy, RewardModel, RewardReading
from trajectories.errors import ConfigError
from trajectories.types import Observation, RobotSpec

BESIDE = 0.9
"""Share of a control period that a judge beside the motion may take."""
_WARM_UP, _TIMES = 3, 9


def measured_s(work: Callable[[], object]) -> float:
    """Median time of a call, s, when it has been called before."""
    times = []
    for _ in range(_WARM_UP + _TIMES):
        start = time.monotonic()
        work()
        times.append(time.monotonic() - start)
    return statistics.median(times[_WARM_UP:])


def sample_observation(spec: RobotSpec, instruction: str) -> Observation:
    """An observation of noise of the robot's sizes, to measure with."""
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for name, (height, width) in spec.cameras.items()
    }
    return Observation(images, np.ones(len(spec.proprio), np.float32), instruction, {})


def judge_s(reward: RewardModel, observation: Observation) -> float:
    """Median time that the reward model takes for an observation, s; it is reset before and after."""
    reward.reset(observation.instruction)
    taken = measured_s(lambda: reward.update(observation))
    reward.reset(observation.instruction)
    return taken


def policy_s(policy: Policy, observation: Observation) -> float:
    """Median time that the policy takes for an action, s; nothing random is drawn."""
    return measured_s(lambda: policy.act(observation, deterministic=True))


def judges_beside(judge: float, policy: float, period: float) -> bool:
    """Whether the judge has to work beside the motion.

    Args:
        judge: Its time for an observation, s.
        policy: The policy's time for an action, s.
        period: Length of a control step, s.

    Raises:
        ConfigError: When it is too slow even for that. Says what was measured, what is allowed, and what to do.
    """
    if judge + policy <= LATEST_START * period:
        return False
    if judge <= BESIDE * period:
        return True
    raise ConfigError(
        f"The judge takes {1e3 * judge:.0f} ms for an observation, and {1e3 * BESIDE * period:.0f} ms are allowed at "
        f"{1 / period:g} control steps a second: the robot would slow down to its judge. Let it have a GPU "
        "(reward.device=cuda) or more cores (reward.threads=4), end what else uses them, or give a smaller model "
        "(reward.backbone, then `regrasp train-reward` again). `regrasp doctor` measures it, too."
    )


class BesideJudge:
    """Runs a reward model's updates in a thread of its own, one at a time."""

    def __init__(self, reward: RewardModel) -> None:
        self._reward = reward
        self._thread = ThreadPoolExecutor(1, "judge")

    def begin(self, observation: Observation) -> Future[RewardReading]:
        """Start judging; the reading is the future's result."""
        return self._thread.submit(self._reward.update, observation)
