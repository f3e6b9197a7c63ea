"""The recorder puts every value where it belongs and refuses what does not fit when it happens."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.trajectory_samples import SPEC, sample_episode, sample_observation

from trajectories.checks import check_episode
from trajectories.errors import InvalidEpisodeError
from trajectories.recorder import Recorder, new_episode_id
from trajectories.types import Source


def action(value: float) -> np.ndarray:
    return np.full(7, value, np.float32)


def record(steps: int, outcome="success", truncated=False):
    recorder = Recorder(SPEC)
    recorder.begin(sample_observation(0), task="pot", direction="backward", metadata={"seed": 3})
    for t in range(steps):
        recorder.step(sample_observation(t + 1), action(10 + t), action(20 + t), Source.PERSON, 100 + t, t / 10)
    return recorder.finish(outcome, truncated, metadata={"judge": "person"})


def test_every_column_is_where_it_belongs():
    episode = record(5)
    np.testing.assert_array_equal(episode.images["front"][:, 0, 0, 0], np.arange(6))
    np.testing.assert_array_equal(episode.proprio[:, 4], np.arange(6))
    np.testing.assert_array_equal(episode.t_ns["joints"], 10 * np.arange(6))
    np.testing.assert_array_equal(episode.t_ns["front"], 10 * np.arange(6) + 1)
    np.testing.assert_array_equal(episode.proposed[:, 6], 10 + np.arange(5))
    np.testing.assert_array_equal(episode.executed[:, 0], 20 + np.arange(5))
    np.testing.assert_array_equal(episode.policy_version, 100 + np.arange(5))
    np.testing.assert_array_equal(episode.source, np.full(5, Source.PERSON))
    np.testing.assert_allclose(episode.success_probability, [np.nan, 0, 0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(episode.rewards, [-1, -1, 0, 0, 0])
    np.testing.assert_array_equal(episode.terminated, [False, False, True, True, True])
    assert (episode.task, episode.direction, episode.outcome) == ("pot", "backward", "success")
    assert episode.instruction == "put the pot on the rack"
    assert episode.metadata == {"seed": 3, "judge": "person"}
    assert len(episode) == 5


def test_running_out_of_time_truncates_and_does_not_terminate():
    episode = record(4, "failure", truncated=True)
    assert not episode.terminated.any()
    np.testing.assert_array_equal(episode.truncated, [False, False, False, True])
    assert not record(4, "failure", truncated=False).truncated.any()


def test_success_on_the_very_last_step_terminates_and_does_not_truncate():
    episode = record(4, "success", truncated=True)
    assert episode.terminated[-1]
    assert not episode.truncated.any()


def test_buffers_that_the_caller_reuses_do_not_change_the_record():
    recorder, buffer, sent = Recorder(SPEC), sample_observation(1), action(1)
    recorder.begin(buffer, task="pot", direction="forward")
    recorder.step(sample_observation(2), sent, sent)
    buffer.images["front"][:] = 99
    buffer.proprio[:] = 99
    sent[:] = 99
    episode = recorder.finish("unknown", False)
    assert episode.images["front"][0].max() == 1
    assert episode.proprio[0].max() == 1
    assert episode.executed.max() == episode.proposed.max() == 1


def test_proposed_may_be_nan_but_executed_may_not():
    recorder = Recorder(SPEC)
    recorder.begin(sample_observation(0), task="pot", direction="forward")
    recorder.step(sample_observation(1), action(np.nan), action(0))
    with pytest.raises(InvalidEpisodeError, match="executed action holds NaN"):
        recorder.step(sample_observation(2), action(0), action(np.nan))
    assert len(recorder) == 1
    assert np.isnan(recorder.finish("failure", True).proposed).all()


def test_what_does_not_fit_is_refused_at_once_and_leaves_the_record_usable():
    recorder, good = Recorder(SPEC), sample_observation(1)
    recorder.begin(sample_observation(0), task="pot", direction="forward")
    misfits = [
        (replace(good, images={}), "cameras"),
        (replace(good, images={"front": np.zeros((6, 8, 3), np.uint8)}), "image of camera 'front'"),
        (replace(good, images={"front": np.zeros((8, 6, 3), np.float32)}), "uint8"),
        (replace(good, proprio=np.zeros(3, np.float32)), "proprio"),
        (replace(good, proprio=np.full(13, np.inf, np.float32)), "proprio holds NaN or infinity"),
        (replace(good, instruction="something else"), "instruction changed"),
        (replace(good, t_ns={"joints": 1}), "t_ns"),
    ]
    for observation, reason in misfits:
        with pytest.raises(InvalidEpisodeError, match=reason):
            recorder.step(observation, action(0), action(0))
    with pytest.raises(InvalidEpisodeError, match="proposed action is float64"):
        recorder.step(good, np.zeros(7), action(0))
    recorder.step(good, action(0), action(0))
    assert len(recorder.finish("failure", True)) == 1


def test_calls_out_of_order_are_refused():
    recorder = Recorder(SPEC)
    for call in (
        lambda: recorder.finish("success", False),
        lambda: recorder.step(sample_observation(1), action(0), action(0)),
    ):
        with pytest.raises(InvalidEpisodeError, match="begin"):
            call()
    recorder.begin(sample_observation(0), task="pot", direction="forward")
    with pytest.raises(InvalidEpisodeError, match="no steps"):
        recorder.finish("success", False)


def test_begin_drops_what_was_not_finished():
    recorder = Recorder(SPEC)
    recorder.begin(sample_observation(7), task="pot", direction="forward")
    recorder.step(sample_observation(8), action(0), action(0))
    id = recorder.begin(sample_observation(0), task="pot", direction="forward", success_probability=0.25)
    assert len(recorder) == 0
    recorder.step(sample_observation(1), action(0), action(0), success_probability=0.5)
    episode = recorder.finish("failure", True)
    assert (episode.id, len(episode), episode.images["front"][0].max()) == (id, 1, 0)
    np.testing.assert_array_equal(episode.success_probability, [0.25, 0.5])


def test_ids_sort_by_time_and_repeat_only_their_random_part():
    ids = [new_episode_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert {len(id) for id in ids} == {29}
    first, second = new_episode_id(np.random.default_rng(5)), new_episode_id(np.random.default_rng(5))
    assert first[21:] == second[21:]
    assert first < second
    int(first[21:], 16)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"direction": "sideways"}, "forward, backward"),
        ({"outcome": "maybe"}, "success, failure, unknown"),
        ({"outcome": "failure", "terminated": np.ones(4, np.bool_)}, "only success terminates"),
        ({"truncated": np.ones(4, np.bool_)}, "both terminated and truncated"),
        ({"source": np.full(4, 9, np.uint8)}, "Source"),
        ({"rewards": np.full(4, np.nan, np.float32)}, "rewards .* NaN"),
        ({"rewards": np.zeros(3, np.float32)}, "rewards"),
        ({"proprio": np.zeros((4, 13), np.float32)}, "proprio"),
        ({"success_probability": np.full(5, 1.5, np.float32)}, "success_probability"),
        ({"t_ns": {}}, "t_ns"),
        ({"t_ns": {"joints": np.zeros(5)}}, "t_ns"),
        ({"task": None}, "task"),
        ({"images": {}}, "cameras"),
        ({"executed": np.zeros((0, 7), np.float32)}, "no steps"),
        ({"policy_version": [1, 2, 3, 4]}, "policy_version .* is list"),
    ],
)
def test_malformed_episodes_are_named(changes, reason):
    check_episode(sample_episode(), SPEC)
    with pytest.raises(InvalidEpisodeError, match=reason):
        check_episode(replace(sample_episode(), **changes), SPEC)
