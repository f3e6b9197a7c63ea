"""A reset-free session in the twin: the scripted expert acts, the predicate judges."""

from robot.interfaces import RewardReading
from sim.experts.scripted import ScriptedExpert


class ExpertPolicy:
    """The scripted expert behind the interface of a policy."""

    version = 0

    def __init__(self, twin):
        self.twin, self.expert = twin, None

    def act(self, observation, deterministic=False):
        return self.expert.act(observation)

    def load(self, weights):
        raise NotImplementedError


class PredicateJudge:
    """The twin's predicate on three steps in a row; also starts the expert's episodes."""

    def __init__(self, twin, policy, rng):
        self.twin, self.policy, self.rng = twin, policy, rng

    def reset(self, instruction):
        backward = instruction in self.twin.task.instructions["backward"]
        self.direction, self.row = ("backward" if backward else "forward"), 0
        self.policy.expert = ScriptedExpert(self.twin, self.direction, self.rng)

    def update(self, observation):
        reached = self.twin.success(self.direction)
        self.row = self.row + 1 if reached else 0
        return RewardReading(float(reached), self.row >= 3, reached)
