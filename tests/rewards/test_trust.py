"""What was learned has to show its worth against the backbone's zero-shot logit on held-out episodes."""

import numpy as np

from rewards.trust import TRUSTS, choose_trust, mixed

EPISODES = np.repeat(np.arange(40), 5)
LABELS = np.repeat(np.arange(40) % 2 == 0, 5)
WEIGHTS = np.ones(len(LABELS))


def telling(noise, seed):
    """Logits that tell success with an error that all frames of an episode share."""
    rng = np.random.default_rng(seed)
    return np.where(LABELS, 3.0, -3.0) + np.repeat(rng.normal(0, noise, 40), 5) + rng.normal(0, 0.3, len(LABELS))


def test_mixtures_by_hand():
    assert mixed(np.array([4.0, 0.0]), np.array([2.0, -2.0]), 0.25).tolist() == [2.5, -1.5]
    assert mixed(np.array([4.0]), None, 0.0).tolist() == [4.0]


def test_a_backbone_that_knows_better_is_believed():
    assert choose_trust(telling(4.0, 0), telling(0.5, 1), LABELS, WEIGHTS, EPISODES) == 0.0


def test_what_was_learned_is_believed_where_the_backbone_knows_nothing():
    guess = np.random.default_rng(2).normal(0, 3, len(LABELS))
    assert choose_trust(telling(0.5, 0), guess, LABELS, WEIGHTS, EPISODES) >= 0.75


def test_where_they_are_alike_the_backbone_is_believed():
    knows = telling(1.0, 3)
    assert choose_trust(knows + 1e-3, knows, LABELS, WEIGHTS, EPISODES) == TRUSTS[0]


def test_frames_of_one_episode_are_no_independent_evidence():
    """It takes more to be believed where all frames of an episode are alike than if each were an episode."""
    frames, pairs = np.arange(len(LABELS)), []
    for seed in range(8):
        learned, knows = telling(1.6, 20 + seed), telling(2.0, 10 + seed % 2)
        pairs.append([choose_trust(learned, knows, LABELS, WEIGHTS, each) for each in (EPISODES, frames)])
    by_episode, by_frame = np.array(pairs).T
    assert (by_episode <= by_frame).all()
    assert by_episode.mean() < by_frame.mean()
