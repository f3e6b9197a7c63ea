"""D4RL-style files: every number says which episode and step it belongs to, so that nothing can slip by one."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from trajectories.flat.d4rl import read_d4rl
from trajectories.flat.d4rl_writer import write_d4rl
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.flat.errors import DatasetError

LENGTHS, TERMINATED = (3, 1, 4, 2), (True, True, False, False)


def observation(episode, t):
    return [100.0 * episode + t, -t]


def episodes():
    """Four episodes; the observation after t steps of episode e is (100 e + t, -t)."""
    return [
        FlatEpisode(
            np.array([observation(e, t) for t in range(steps + 1)], np.float32),
            np.array([[0.1 * e + 0.01 * t] for t in range(steps)], np.float32),
            np.array([10 * e + t for t in range(steps)], np.float32),
            ended,
        )
        for e, (steps, ended) in enumerate(zip(LENGTHS, TERMINATED, strict=True))
    ]


def columns(*, timeouts=True, after=True):
    """The same as the columns of a file, written down independently of the package's writer."""
    rows = [(e, t) for e, steps in enumerate(LENGTHS) for t in range(steps)]
    last = [t == LENGTHS[e] - 1 for e, t in rows]
    made = {
        "observations": np.array([observation(e, t) for e, t in rows], np.float64),
        "actions": np.array([[0.1 * e + 0.01 * t] for e, t in rows], np.float32),
        "rewards": np.array([10 * e + t for e, t in rows], np.float32),
        "terminals": np.array([end and TERMINATED[e] for (e, _), end in zip(rows, last, strict=True)]),
    }
    if timeouts:
        made["timeouts"] = np.array([end and not TERMINATED[e] for (e, _), end in zip(rows, last, strict=True)])
    if after:
        made["next_observations"] = np.array([observation(e, t + 1) for e, t in rows], np.float32)
    return made


def file_of(tmp_path, made):
    path = tmp_path / "data.hdf5"
    with h5py.File(path, "w") as file:
        for name, column in made.items():
            file[name] = column
        file["infos/goal"] = np.zeros(3)
        file["metadata/algorithm"] = "SAC"
    return path


def assert_same(found, expected):
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.observations, theirs.observations)
        np.testing.assert_array_equal(mine.actions, theirs.actions)
        np.testing.assert_array_equal(mine.rewards, theirs.rewards)
        assert mine.terminated == theirs.terminated
        assert mine.observations.dtype == mine.actions.dtype == mine.rewards.dtype == np.float32


@pytest.mark.parametrize("timeouts", [True, False])
def test_next_observations_give_whole_episodes_with_or_without_marked_timeouts(tmp_path, timeouts):
    data = read_d4rl(file_of(tmp_path, columns(timeouts=timeouts)))
    assert_same(data.episodes, episodes())
    assert (data.dropped, data.stand_ins, data.transitions, data.sizes) == (0, 0, 10, (2, 1))


def test_without_next_observations_the_step_before_a_timeout_is_left_out_and_counted(tmp_path):
    data = read_d4rl(file_of(tmp_path, columns(after=False)))
    whole = episodes()
    expected = []
    for episode in whole[:2]:  # terminated: every step stays, the last observation stands in for the missing one
        seen = episode.observations.copy()
        seen[-1] = seen[-2]
        expected.append(FlatEpisode(seen, episode.actions, episode.rewards, True))
    for episode in whole[2:]:  # cut: the last row's observation is what the last step but one led to
        cut = slice(0, len(episode) - 1)
        expected.append(FlatEpisode(episode.observations[:-1], episode.actions[cut], episode.rewards[cut], False))
    assert_same(data.episodes, expected)
    assert (data.dropped, data.stand_ins, data.transitions) == (2, 2, 8)
    assert "2 transitions left out" in data.describe()


def test_a_timeout_after_a_single_step_leaves_nothing_of_that_episode(tmp_path):
    made = {
        "observations": np.array([[0.0], [10.0], [11.0]]),
        "actions": np.zeros((3, 1)),
        "rewards": np.array([1.0, 2.0, 3.0]),
        "terminals": np.array([0, 0, 1]),
        "timeouts": np.array([1, 0, 0]),
    }
    data = read_d4rl(file_of(tmp_path, made))
    assert (len(data.episodes), data.dropped, data.stand_ins) == (1, 1, 1)
    np.testing.assert_array_equal(data.episodes[0].rewards, [2.0, 3.0])


def test_a_step_that_both_terminates_and_times_out_is_terminated(tmp_path):
    made = columns(after=False)
    made["timeouts"] = made["timeouts"] | made["terminals"]
    data = read_d4rl(file_of(tmp_path, made))
    assert [episode.terminated for episode in data.episodes] == [True, True, False, False]


def test_what_is_written_is_read_back_exactly_and_has_the_same_digest(tmp_path):
    data = FlatDataset(tuple(episodes()), "memory")
    write_d4rl(tmp_path / "new" / "data.hdf5", data, {"expert": "none", "seed": 3})
    back = read_d4rl(tmp_path / "new" / "data.hdf5")
    assert_same(back.episodes, data.episodes)
    assert back.digest == data.digest
    with h5py.File(tmp_path / "new" / "data.hdf5") as file:
        assert file.attrs["seed"] == 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data.hdf5"]


def test_the_digest_sees_every_number_and_every_end():
    base = FlatDataset(tuple(episodes()), "memory")
    for change in ("observations", "actions", "rewards", "terminated"):
        made = episodes()
        values = {name: getattr(made[2], name) for name in ("observations", "actions", "rewards", "terminated")}
        values[change] = not values[change] if change == "terminated" else values[change] + np.float32(0.5)
        made[2] = FlatEpisode(**values)
        assert FlatDataset(tuple(made), "memory").digest != base.digest, change


def without(name):
    made = columns()
    del made[name]
    return made


def changed(name, function):
    made = columns()
    made[name] = function(made[name])
    return made


def with_nan(column):
    column = column.copy()
    column[4] = np.nan
    return column


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (without("rewards"), "lacks rewards; it holds actions, infos, metadata"),
        (changed("rewards", lambda c: c[:-1]), r"rewards has shape \(9,\); expected \(10,\)"),
        (changed("rewards", lambda c: c[:, None]), r"rewards has shape \(10, 1\); expected \(10,\)"),
        (changed("actions", lambda c: c[:, 0]), r"actions has shape \(10,\); expected \(10, A\)"),
        (changed("next_observations", lambda c: c[:, :1]), r"next_observations has shape \(10, 1\)"),
        (changed("observations", with_nan), "observations hold NaN or infinity in 1 of 10 rows, first in row 4"),
        (changed("rewards", with_nan), "rewards hold NaN or infinity in 1 of 10 rows, first in row 4"),
        (changed("actions", lambda c: c.astype("S4")), "actions holds .*; expected numbers"),
        ({name: column[:0] for name, column in columns().items()}, "at least one step"),
    ],
)
def test_a_file_that_lacks_something_is_refused_with_what_and_where(tmp_path, made, message):
    with pytest.raises(DatasetError, match=message):
        read_d4rl(file_of(tmp_path, made))


def test_other_files_are_refused_with_what_to_give_instead(tmp_path):
    with pytest.raises(DatasetError, match="There is no file"):
        read_d4rl(tmp_path / "missing.hdf5")
    (tmp_path / "text.hdf5").write_text("not HDF5")
    with pytest.raises(DatasetError, match="can't be read as HDF5"):
        read_d4rl(tmp_path / "text.hdf5")
    with h5py.File(tmp_path / "main_data.hdf5", "w") as file:
        file["episode_0/observations"] = np.zeros(3)
    with pytest.raises(DatasetError, match="give the data set's folder"):
        read_d4rl(tmp_path / "main_data.hdf5")


def test_episodes_of_different_sizes_make_no_data_set():
    made = episodes()
    short = FlatEpisode(made[0].observations[:-1], made[0].actions, made[0].rewards, True)
    with pytest.raises(DatasetError, match=r"episode 4: observations have shape \(3, 2\); expected \(4, 2\)"):
        FlatDataset((*made, short), "memory")
    with pytest.raises(DatasetError, match="no whole transition"):
        FlatDataset((), "memory")


@pytest.mark.parametrize("name", ["terminals", "timeouts"])
@pytest.mark.parametrize("wrong", [np.nan, 0.5, -1.0, 2.0])
def test_marks_of_ends_are_zero_or_one(tmp_path, name, wrong):
    made = columns()
    made[name] = made[name].astype(np.float64)
    assert len(read_d4rl(file_of(tmp_path, made)).episodes) == 4
    made[name][5] = wrong
    with pytest.raises(DatasetError, match=rf"{name} hold {wrong} in row 5 \(1 of 10 rows .*expected 0 or 1"):
        read_d4rl(file_of(tmp_path, made))


def test_a_file_that_cannot_say_where_episodes_were_cut_warns(tmp_path, caplog):
    made = columns(timeouts=False, after=False)
    assert len(read_d4rl(file_of(tmp_path, made)).episodes) == 3  # two terminals, and the end of the file
    assert "neither timeouts nor next_observations" in caplog.text
    assert "they end at its 2 terminals" in caplog.text
    caplog.clear()
    made["terminals"][:] = False
    data = read_d4rl(file_of(tmp_path, made))
    assert (len(data.episodes), data.transitions) == (1, 9)
    assert "end at nothing: it counts as one episode" in caplog.text
    caplog.clear()
    for known in ({"timeouts": False}, {"after": False}):
        read_d4rl(file_of(tmp_path, columns(**known)))
    assert caplog.text == ""


def test_a_file_that_is_open_for_writing_elsewhere_is_said_to_be_in_use(tmp_path):
    path = file_of(tmp_path, columns())
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(DatasetError, match=r"data\.hdf5 is in use: .* open for writing\. Close it there"):
            read_d4rl(path)
    assert len(read_d4rl(path).episodes) == 4


def test_a_file_cut_short_is_said_to_be_damaged(tmp_path):
    path = file_of(tmp_path, columns())
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DatasetError, match=r"can't be read as HDF5 .*damaged or cut short"):
        read_d4rl(path)
