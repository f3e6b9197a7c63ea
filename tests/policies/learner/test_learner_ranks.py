"""A learner of several processes learns what one does, in the same folder, and dies without leaving halves."""

import socket

import pytest
import torch
from helpers.shared_learner import stage_of
from helpers.started_ranks import ended, start_ranks
from safetensors.torch import load_file

from policies.learner.metrics import read_metrics


def assert_close(run, other):
    """Two folders of one run, but for rounding: checkpoints, draws, replays, policies and metrics."""
    found, expected = (load_file(folder / "learner.safetensors") for folder in (run, other))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}")
    assert read_all(run / "replay") == read_all(other / "replay")
    losses = [
        {row["step"]: row for row in read_metrics(folder / "metrics") if "critic/td" in row} for folder in (run, other)
    ]
    assert losses[0].keys() == losses[1].keys()
    for step, wanted in losses[1].items():
        for key in ("critic/td", "critic/q"):
            assert losses[0][step][key] == pytest.approx(wanted[key], rel=1e-2, abs=1e-3)


def read_all(replay):
    """Frames, transitions and draws of the replay's files, by column, in the order in which they were added."""
    found = {}
    for path in sorted(replay.glob("part_*")):
        for key, tensor in load_file(path).items():
            found.setdefault(key.rpartition(".")[0] or key, []).append(tensor)
    draws = found.pop("generator")[-1]
    return {key: torch.cat(parts).tolist() for key, parts in found.items()} | {"generator": draws.tolist()}


def started(pretrained, demos, run, stage, dies=-1):
    return ended(start_ranks("shared_learner", pretrained, demos, run, stage, dies))


def test_a_run_goes_on_by_two_by_one_and_by_two_of_which_one_dies(tmp_path, pretrained, demo_store):
    for stage in range(3):
        stage_of(pretrained, demo_store, tmp_path / "one", stage)

    run = tmp_path / "changing"
    for status, words in started(pretrained, demo_store, run, 0):
        assert status == 0, words
    stage_of(pretrained, demo_store, run, 1)
    before = load_file(run / "learner.safetensors")
    (first, words), (second, _) = started(pretrained, demo_store, run, 2, dies=1)
    assert (first, second) == (1, -9)
    assert "RankLostError: Rank 1 of 2 (process " in words
    assert f" on {socket.gethostname()}) has died." in words
    after = load_file(run / "learner.safetensors")  # of update 50; the updates up to 57 are done anew
    assert any(not torch.equal(before[key], after[key]) for key in before)
    stage_of(pretrained, demo_store, run, 2)
    assert_close(run, tmp_path / "one")
