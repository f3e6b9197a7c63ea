"""What sees time: windows, films and their progress by hand, and a judge that is trained on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.judged_at_once import evaluate_episodes
from helpers.sliding_square import make_episode

from rewards.config import RewardConfig
from rewards.files import load_classifier, save_classifier
from rewards.gathering import gather
from rewards.judge import VlmReward
from rewards.progress import MOST_OF_A_FAILURE, FilmDraws, progress_of
from rewards.temporal import TimeNet
from rewards.training import train_reward
from rewards.windows import NONE, Windows, rewound_rows, window_rows
from trajectories.errors import ConfigError
from trajectories.types import Observation

CONFIG = RewardConfig(steps=100, folds=3, members=1, shift=1, window=4, require_open_gripper=False)


@pytest.fixture(scope="module")
def trained(backbone, spec, episodes):
    return train_reward(episodes, "slide", backbone, spec, CONFIG)


def test_windows_by_hand():
    assert window_rows(np.arange(5, 8), 2).tolist() == [[NONE, 5], [5, 6], [6, 7]]
    assert rewound_rows(np.arange(10, 16), 3, 2, 4).tolist() == [12, 13, 12, 11]
    assert rewound_rows(np.arange(10, 16), 1, 1, 4).tolist() == [NONE, 10, 11, 10]
    windows = Windows(torch.arange(3.0)[:, None], torch.zeros(3, 2), torch.tensor([[NONE, 0], [1, 2]]))
    assert windows.there.tolist() == [[False, True], [True, True]]
    assert windows[1:].frames()[0].tolist() == [[[1.0], [2.0]]]


def test_progress_grows_evenly_until_success_is_sure(backbone, spec, episodes):
    data = gather(episodes, "slide", backbone, spec, CONFIG)
    success = next(episode for episode in data.episodes if episode.outcome == "success")
    assert progress_of(success).tolist() == pytest.approx([*np.arange(10) / 10, 1.0, 1.0, 1.0])
    films = FilmDraws(data, list(data.episodes), 4).draw(200, np.random.default_rng(0))
    assert films.rows.shape == (200, 4)
    assert (films.rows[:, -1] >= 0).all()
    assert set(films.progress[films.at_most]) == {np.float32(MOST_OF_A_FAILURE)}
    last, before = films.rows[~films.at_most, -1], films.rows[~films.at_most, -2]
    assert ((last < before) & (before >= 0)).any()  # rewound
    foreign = replace(make_episode(np.random.default_rng(1), 99, task="other"), instruction="open the drawer")
    more = gather([*episodes, foreign], "slide", backbone, spec, CONFIG)
    drawn = FilmDraws(more, list(more.episodes), 4).draw(300, np.random.default_rng(0))
    assert 0.0 in drawn.progress[drawn.goals == more.goals.index(("other", "forward"))]


def test_frames_before_the_beginning_and_a_missing_pose_change_nothing():
    torch.manual_seed(0)
    net = TimeNet(8, 3, 4).eval()
    torch.nn.init.normal_(net.success.weight)
    images, text = torch.randn(3, 8), torch.randn(1, 8)
    pose = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    short = net(Windows(images, pose, torch.tensor([[NONE, NONE, 1, 2]])), text)
    images[0], pose[0] = 99.0, -99.0  # what a row that isn't there points to
    for a, b in zip(short, net(Windows(images, pose, torch.tensor([[NONE, NONE, 1, 2]])), text), strict=True):
        assert torch.equal(a, b)
    net.fit_scale(torch.tensor([[1.0, 2, float("nan")], [3, 2, 5]]))
    assert net.mean.tolist() == [2, 2, 5]
    assert net.deviation.tolist() == pytest.approx([1, 0.01, 0.01])
    pose[2, 1] = torch.nan
    assert all(torch.isfinite(value).all() for value in net(Windows(images, pose, torch.tensor([[0, 1, 2]])), text))


def test_progress_of_new_films_grows_and_falls_when_they_are_rewound(trained):
    new = make_episode(np.random.default_rng(21), 0)
    probability, progress = trained.classifier.of_episode(new)
    assert progress[-1] > 0.85
    assert progress[0] < 0.35
    assert np.corrcoef(progress, np.minimum(np.arange(13) / 10, 1))[0, 1] > 0.9
    assert probability[-1] > 0.8 > 0.3 > probability[0]
    order = [*range(13), *range(11, -1, -1)]
    back = replace(new, images={"front": new.images["front"][order]}, proprio=new.proprio[order])
    assert trained.classifier.of_episode(back)[1][-1] < 0.4


def test_a_session_sees_what_the_whole_episode_shows(trained, backbone, spec, tmp_path):
    save_classifier(trained.classifier, tmp_path)
    loaded = load_classifier(tmp_path, backbone, spec)
    assert loaded.time is not None
    new = make_episode(np.random.default_rng(22), 1, "backward")
    judge = VlmReward(loaded)
    for _ in range(2):  # nothing of an episode stays for the next one
        judge.reset(new.instruction)
        readings = [
            judge.update(Observation({"front": new.images["front"][t]}, new.proprio[t], new.instruction, {}))
            for t in range(13)
        ]
    probability, progress = trained.classifier.of_episode(new)
    assert [reading.probability for reading in readings] == pytest.approx(probability.tolist(), abs=1e-5)
    assert [reading.progress for reading in readings] == pytest.approx(progress.tolist(), abs=1e-5)


def test_whole_episodes_are_still_told_apart(trained):
    rng = np.random.default_rng(5)
    new = [
        make_episode(rng, i, d, o) for i in range(5) for d in ("forward", "backward") for o in ("success", "failure")
    ]
    figures = evaluate_episodes(trained.classifier, new)
    assert figures["found"] >= 0.9
    assert figures["wrong_stops"] <= 0.1


def test_a_window_of_one_frame_is_refused():
    with pytest.raises(ConfigError, match=r"reward\.window must be 0 .* or at least 2"):
        RewardConfig(window=1)
