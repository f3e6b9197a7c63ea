"""Episodes whose every value names its episode and step, for the tests of replay."""

import numpy as np
import torch

from policies.replay.replay import Replay

GAMMA = 0.5
FIELDS = {
    "state": ((2,), torch.float32),
    "image": ((2, 2, 3), torch.uint8),
    "wrist": ((3, 1, 3), torch.uint8),
    "feature": ((4,), torch.float16),
}


def make(capacity=1000, n=1, seed=0, **settings):
    return Replay(capacity, FIELDS, gamma=GAMMA, n_step=n, action_size=1, seed=seed, **settings)


def observation(number, steps):
    """State = (episode, frame), image = frame, wrist = episode, feature = frame + episode / 32 (exact in float16)."""
    frames = np.arange(steps + 1)
    return {
        "state": np.stack([np.full(steps + 1, number), frames], 1).astype(np.float32),
        "image": np.broadcast_to(frames.astype(np.uint8)[:, None, None, None], (steps + 1, 2, 2, 3)),
        "wrist": np.full((steps + 1, 3, 1, 3), number, np.uint8),
        "feature": np.repeat((frames + number / 32)[:, None], 4, axis=1).astype(np.float16),
    }


def episode(number, steps, ended=True, **changes):
    """Action = episode + frame / 100, reward = -frame, source = episode % 3, instruction = episode."""
    frames = np.arange(steps, dtype=np.float32)
    terminated, truncated = np.zeros(steps, bool), np.zeros(steps, bool)
    (terminated if ended else truncated)[-1] = True
    return {
        "observation": observation(number, steps),
        "executed": (number + frames[:, None] / 100).astype(np.float32),
        "rewards": -frames,
        "terminated": terminated,
        "truncated": truncated,
        "mc_returns": -100 * number - frames,
        "source": np.full(steps, number % 3, np.uint8),
        "instruction": number,
    } | changes


def everything(replay):
    return replay.gather(torch.arange(replay.added - len(replay), replay.added))


def assert_same(left, right):
    """Two batches are equal to the bit."""
    for name in ("instruction", "action", "reward", "discount", "mc_return", "imitate", "source"):
        assert torch.equal(getattr(left, name), getattr(right, name)), name
    for name in ("observation", "next_observation"):
        theirs = getattr(right, name)
        assert getattr(left, name).keys() == theirs.keys()
        for field, tensor in getattr(left, name).items():
            assert tensor.dtype == theirs[field].dtype
            assert torch.equal(tensor, theirs[field]), (name, field)
