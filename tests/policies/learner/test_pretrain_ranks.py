"""Pre-training by two processes is that by one, goes on from its checkpoints and gives it its own."""

import socket

import pytest
import torch
from helpers.killable_pretraining import ON_IMAGES, SETTINGS, train
from helpers.started_ranks import ended, start_ranks
from safetensors.torch import load_file

from policies.learner.metrics import read_metrics

CONFIGS = {"keypoints": SETTINGS, "cnn": ON_IMAGES}


class Interrupted(Exception):
    """The power went."""


def assert_close(folder, whole):
    """Two folders of one policy, but for rounding, and their metrics."""
    for name in ("actor", "agent", "features"):
        found, expected = (load_file(path / f"{name}.safetensors") for path in (folder, whole))
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(
                found[key], tensor, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
            )
    rows, others = read_metrics(folder / "metrics"), read_metrics(whole / "metrics")
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    for row, other in zip(rows, others, strict=True):
        wanted = {key: value for key, value in other.items() if key != "wall_s"}
        assert {key: value for key, value in row.items() if key != "wall_s"} == pytest.approx(
            wanted, rel=1e-2, abs=1e-3
        )


def test_two_processes_train_the_policy_of_one(tmp_path, demo_store):
    train(demo_store, tmp_path / "one", ON_IMAGES)
    for status, words in ended(start_ranks("killable_pretraining", demo_store, tmp_path / "two", "cnn", "never", 0, 0)):
        assert status == 0, words
    assert_close(tmp_path / "two", tmp_path / "one")


def test_one_then_two_of_which_one_dies_then_one(tmp_path, demo_store):
    train(demo_store, tmp_path / "whole")

    def stop(told, done, total):
        if (told, done) == ("policy", 20):
            raise Interrupted

    folder = tmp_path / "changing"
    with pytest.raises(Interrupted):
        train(demo_store, folder, progress=stop)
    (first, words), (second, _) = ended(
        start_ranks("killable_pretraining", demo_store, folder, "keypoints", "policy", 40, 1)
    )
    assert (first, second) == (1, -9)
    assert "RankLostError: Rank 1 of 2 (process " in words
    assert f" on {socket.gethostname()}) has died." in words
    kept = sorted(path.name for path in (folder / "training").iterdir() if not path.name.startswith("keypoints"))
    assert kept == ["policy_28.safetensors", "policy_35.safetensors"]
    said = []
    train(demo_store, folder, notify=said.append)
    assert said == ["The policy goes on after update 35 of 60."]
    assert_close(folder, tmp_path / "whole")
