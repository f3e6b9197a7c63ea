"""A reset-free session of scripted parts on the kinematic arm."""

import numpy as np

from helpers.kinematic_arm import action, make_env
from robot.interfaces import RewardReading
from robot.rollout.session import ResetFreeSession

INSTRUCTIONS = {
    "forward": ("put it in", "place it inside", "into the pot"),
    "backward": ("take it out", "back onto the table"),
}


class WalkingPolicy:
    """Moves along x by a fixed fraction of a step."""

    def __init__(self, speed=0.5):
        self.version, self.speed, self.deterministic = 3, speed, []

    def act(self, observation, deterministic=False):
        self.deterministic.append(deterministic)
        return action(self.speed if "in" in observation.instruction.split() else -self.speed)

    def load(self, weights):
        self.version = weights.version


class CountingJudge:
    """Says done after a number of frames per instruction; None means never."""

    def __init__(self, done_after, start_probability=0.05):
        self.done_after, self.start_probability = done_after, start_probability
        self.resets, self.frames = [], 0

    def reset(self, instruction):
        self.resets.append(instruction)
        self.frames = 0
        self.fresh = True

    def update(self, observation):
        assert observation.instruction == self.resets[-1]
        self.frames += 1
        limit = self.done_after(observation.instruction)
        done = limit is not None and self.frames >= limit
        start = self.start_probability(observation.instruction) if callable(self.start_probability) else 0.05
        probability = 0.97 if done else start
        return RewardReading(probability, done, probability >= 0.9)


class Helper:
    """Operator with a list of troubles to report, one an episode."""

    def __init__(self, troubles=(), on_help=None):
        self.troubles, self.calls, self.on_help = list(troubles), [], on_help

    def trouble(self):
        return self.troubles.pop(0) if self.troubles else None

    def help(self, reason, direction):
        self.calls.append((reason, direction))
        if self.on_help:
            self.on_help()


def make_session(done_after=lambda _: 4, *, env=None, helper=None, judge=None, policy=None, **settings):
    if env is None:
        env, _, _ = make_env()
    settings.setdefault("rng", np.random.default_rng(0))
    judge = judge or CountingJudge(done_after)
    return ResetFreeSession(env, policy or WalkingPolicy(), judge, "pot", INSTRUCTIONS, helper or Helper(), **settings)
