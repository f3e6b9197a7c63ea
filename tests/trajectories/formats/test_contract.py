"""What every format promises, whichever it is: round trips, laziness, refusals, nothing half, the list of formats."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.foreign_samples import bridge_episode, minari_episode, replay_episode, robomimic_episode, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trajectories.formats.foreign import FormatError, SinkSettings
from trajectories.formats.registry import creator, open_source, recognise

SAMPLES = {
    "robomimic": (robomimic_episode, "lift.hdf5"),
    "diffusion_policy": (replay_episode, "push.zarr"),
    "zipped": (replay_episode, "push.zarr.zip"),
    "minari": (minari_episode, "pot-v0"),
    "bridge": (bridge_episode, "bridge"),
}
KINDS = pytest.mark.parametrize("kind", SAMPLES)
EXACT = SinkSettings(fps=10.0, robot_type="WidowX", lossless=True)


def format_of(kind):
    return "diffusion_policy" if kind == "zipped" else kind


def sink_of(kind, folder, settings=EXACT):
    return creator(format_of(kind))(folder / SAMPLES[kind][1], settings)


def write(kind, folder, episodes, settings=EXACT):
    with sink_of(kind, folder, settings) as sink:
        for episode in episodes:
            sink.write(episode)
    return folder / SAMPLES[kind][1]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(SAMPLES)), steps=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_what_was_written_is_read(tmp_path_factory, kind, steps):
    noted = {
        "outcome": "failure",
        "direction": "backward",
        "task": "pot",
        "id": "e7",
        "success_rate": 0.5,
        "real": True,
    }
    episodes = [SAMPLES[kind][0](count, seed) for seed, count in enumerate(steps)]
    episodes = [replace(episode, attributes={**episode.attributes, **noted}) for episode in episodes]
    source = open_source(write(kind, tmp_path_factory.mktemp("out"), episodes))
    names = source.names()
    assert len(names) == len(set(names)) == source.describe().episodes == len(steps)
    for name, expected in zip(names, episodes, strict=True):
        found = source.read(name)
        assert found.name == name
        assert found.fps == 10
        same(found, expected, lossless=kind != "bridge")
        assert noted.items() <= found.attributes.items()


@KINDS
def test_a_source_says_what_its_episodes_hold(tmp_path, kind):
    sample = SAMPLES[kind][0]()
    path = write(kind, tmp_path, [sample])
    assert recognise(path) == format_of(kind)
    told = open_source(path).describe()
    assert (told.format, told.robot_type, told.fps) == (format_of(kind), "WidowX", 10.0)
    assert set(told.keys) == {*sample.columns, *sample.images}
    for key, frames in sample.images.items():
        assert (told.keys[key].shape, told.keys[key].dtype, told.keys[key].image) == (
            frames.shape[1:], str(frames.dtype), True,
        )  # fmt: skip
    for key, column in sample.columns.items():
        assert (told.keys[key].shape, told.keys[key].image) == (column.shape[1:], False)


@KINDS
def test_frames_are_read_by_their_numbers(tmp_path, kind):
    source = open_source(write(kind, tmp_path, [SAMPLES[kind][0](2), SAMPLES[kind][0](5, 3)]))
    for frames in source.read(source.names()[1]).images.values():
        every = frames.read()
        assert every.shape == frames.shape
        for wanted in ([0], [1, 1, 3], [0, 4], list(range(5)), []):
            np.testing.assert_array_equal(frames.read(wanted), every[wanted])
        assert frames.read([2], (1, 1)).shape[0] == 1


@KINDS
def test_an_unknown_episode_is_refused(tmp_path, kind):
    source = open_source(write(kind, tmp_path, [SAMPLES[kind][0]()]))
    for name in ("demo_7", "episode_7", "episode_-1", "", "traj7"):
        with pytest.raises(FormatError, match="no "):
            source.read(name)


@KINDS
def test_a_sink_that_fails_or_is_killed_leaves_nothing_under_the_name(tmp_path, kind):
    sample = SAMPLES[kind][0]()
    key = next(iter(sample.columns))
    other = replace(sample, columns={**sample.columns, key: sample.columns[key].astype(np.float16)})
    with pytest.raises(FormatError, match=f"differs from the first in {key}"):
        write(kind, tmp_path, [sample, other])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FormatError, match="No episode was written"):
        sink_of(kind, tmp_path).close()
    assert list(tmp_path.iterdir()) == []
    killed = sink_of(kind, tmp_path)
    killed.write(sample)
    assert not (tmp_path / SAMPLES[kind][1]).exists()
    if kind == "robomimic":
        killed._file.close()  # as the process's end would
    path = write(kind, tmp_path, [sample])
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FormatError, match="exists already"):
        sink_of(kind, tmp_path)


@KINDS
def test_closing_and_aborting_twice_does_nothing(tmp_path, kind):
    sink = sink_of(kind, tmp_path)
    sink.write(SAMPLES[kind][0]())
    sink.close()
    sink.close()
    sink.abort()
    assert open_source(tmp_path / SAMPLES[kind][1]).describe().episodes == 1


@KINDS
def test_rows_that_fit_no_step_are_refused(tmp_path, kind):
    sample = SAMPLES[kind][0]()
    key = "action" if "action" in sample.columns else "actions"
    for columns, message in [
        ({**sample.columns, "more": np.zeros(9)}, "rows {'more': 9}"),
        ({k: v for k, v in sample.columns.items() if k != key}, "has no 'actions'"),
        ({**sample.columns, key: sample.columns[key][:0]}, "has no"),
        ({**sample.columns, "more": np.full(3, "text")}, "only numbers are written"),
    ]:
        with pytest.raises(FormatError, match=message), sink_of(kind, tmp_path) as sink:
            sink.write(replace(sample, columns=columns))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_format_is_told_what_there_is(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(FormatError, match=r"none of the formats.*\n.*bridge"):
            open_source(path)
