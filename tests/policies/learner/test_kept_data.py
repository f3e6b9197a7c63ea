"""The offline data beside online data: each episode of the target task under every wording, as in pre-training."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos
from helpers.replay_world import everything
from helpers.small_policies import knowing

from policies.learner.kept_data import KeptData
from policies.learner.learner_config import LearnerConfig
from policies.policy import load_policy
from policies.replay.dataset import for_replay
from policies.replay.replay import Replay
from trajectories.errors import ConfigError
from trajectories.labels import relabel
from trajectories.store import TrajectoryStore
from trajectories.types import Source

GAMMA = 0.95
OTHERS = {
    "forward": ("bring the red disc to the left", "put the red disc on the left"),
    "backward": ("put the red disc on the right",),
}
CONFIG = LearnerConfig(retention=0.5)


@pytest.fixture(scope="module")
def perception(pretrained):
    return knowing(load_policy(pretrained).perception, OTHERS["forward"])


@pytest.fixture(scope="module")
def episodes():
    """Red forward, blue forward, red backward, blue backward, red forward; the last one fails under another wording."""
    recorded = demos(5, seed=60)
    failed = replace(relabel(recorded[4], "failure"), instruction=OTHERS["forward"][0])
    return [*recorded[:4], failed]


@pytest.fixture(scope="module")
def stores(tmp_path_factory, episodes):
    path = tmp_path_factory.mktemp("kept") / "store"
    with TrajectoryStore(path, SPEC) as opened:
        for episode in episodes:
            opened.commit(episode)
    return [TrajectoryStore(path, read_only=True)]


def mixed(stores, perception, wordings=OTHERS, **settings):
    online = Replay(1000, perception.fields, gamma=GAMMA)
    return KeptData(stores, "red_disc", wordings).mix(online, perception, replace(CONFIG, **settings), 0)


def test_every_episode_of_the_task_is_held_under_every_wording_of_its_direction(stores, episodes, perception):
    mix = mixed(stores, perception)
    rows = Counter(everything(mix.offline).instruction.tolist())
    first, _, back, _, failed = episodes
    expected = {text: len(first) + len(failed) for text in OTHERS["forward"]} | {OTHERS["backward"][0]: len(back)}
    assert rows == {perception.instruction(text): count for text, count in expected.items()}
    recorded = len(first) + len(failed) + len(back)
    assert mix.copies == pytest.approx((2 * len(first) + 2 * len(failed) + len(back)) / recorded)


def test_under_every_wording_there_are_successes_and_failures(stores, perception):
    """Without other wordings, all that was recorded under the second one failed."""
    successes = {}
    for name, wordings in (("all", OTHERS), ("own", {})):
        held = everything(mixed(stores, perception, wordings).offline)
        told = held.instruction == perception.instruction(OTHERS["forward"][0])
        successes[name] = (held.discount[told] == 0).sum().item()
    assert successes == {"all": 3, "own": 0}


def test_copies_differ_in_words_alone(stores, episodes, perception):
    held = everything(mixed(stores, perception).offline)
    steps = len(episodes[0])
    for start, text in ((0, OTHERS["forward"][1]), (steps, OTHERS["forward"][0])):
        encoded = for_replay(replace(episodes[0], instruction=text), perception, GAMMA)
        part = slice(start, start + steps)
        assert torch.equal(held.state[part], torch.from_numpy(encoded.frames["state"][:-1]))
        assert torch.equal(held.action[part], torch.from_numpy(episodes[0].executed))
        assert torch.equal(held.mc_return[part], torch.from_numpy(encoded.mc_returns))


def test_prior_tasks_keep_their_own_words(stores, episodes, perception):
    held = everything(mixed(stores, perception, offline="all").offline)
    blue = [episodes[1], episodes[3]]
    rows = Counter(held.instruction.tolist())
    for episode in blue:
        assert rows[perception.instruction(episode.instruction)] == len(episode)


def test_a_correction_is_drawn_as_often_as_all_copies_of_a_recorded_step(stores, episodes, perception):
    mix = mixed(stores, perception, corrections="both")
    person = replace(episodes[0], source=np.full(len(episodes[0]), Source.PERSON, np.uint8))
    for_replay(person, perception, GAMMA).add_to(mix.online)
    recorded = sum(len(episodes[i]) for i in (0, 2, 4))
    share = (mix.sample(40_000).source[20_000:] == Source.PERSON).float().mean().item()
    assert share == pytest.approx(len(person) / (len(person) + recorded), abs=0.015)
    drawn = mix.sample(40_000)
    persons = drawn.state[20_000:][drawn.source[20_000:] == Source.PERSON]
    assert len(persons.unique(dim=0)) == len(person)


def test_the_kept_data_have_the_transitions_of_the_online_replay(stores, perception):
    online = Replay(1000, perception.fields, gamma=GAMMA, n_step=3)
    mix = KeptData(stores, "red_disc", OTHERS).mix(online, perception, CONFIG, 0)
    assert (mix.offline.n_step, mix.offline.gamma) == (3, GAMMA)


def test_nothing_is_read_without_a_share(stores, perception):
    online = Replay(1000, perception.fields, gamma=GAMMA)
    kept = KeptData([], "red_disc", OTHERS)
    assert kept.mix(online, perception, replace(CONFIG, retention=0.0), 0) is online
    with pytest.raises(ConfigError, match="no episode"):
        kept.mix(online, perception, CONFIG, 0)


def test_an_unknown_wording_is_refused(stores, perception):
    with pytest.raises(ConfigError, match="does not know the instruction"):
        mixed(stores, perception, {"forward": ("sing",)})
