"""Depth is as old as the pictures under a delay."""

import numpy as np

from commands.evaluate.delays import DelayedPolicy
from trajectories.types import PROPRIO_NAMES, Observation


class Telling:
    """Its action says which picture and which depth it saw."""

    version, digest, instructions = 0, "t", None

    def seed(self, seed):
        pass

    def act(self, observation, deterministic=False):
        return np.array([observation.images["front"][0, 0, 0], observation.depth["front"][0, 0], 0, 0, 0, 0, 1], "f4")


def seen(number):
    picture, depth = np.full((2, 2, 3), number, np.uint8), np.full((2, 2), 100 + number, np.uint16)
    proprio = np.zeros(len(PROPRIO_NAMES), np.float32)
    return Observation({"front": picture}, proprio, "do it", {"front": number}, {"front": depth})


def test_depth_is_as_old_as_the_pictures():
    policy = DelayedPolicy(Telling(), 0, 2)
    policy.seed(0)
    assert [policy.act(seen(step))[:2].tolist() for step in range(5)] == [[age, 100 + age] for age in (0, 0, 0, 1, 2)]
