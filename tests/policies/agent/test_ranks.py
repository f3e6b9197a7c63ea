"""Ranks that share each batch take the steps, and draw the transitions, of one process."""

import pytest
import torch
from helpers.shared_updates import AGENTS, drawn, trained
from helpers.started_ranks import ended, start_ranks
from safetensors.torch import load_file

from policies.common.launch import Launch
from policies.common.ranks import ALONE, Ranks
from trajectories.errors import ConfigError


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Folder with the results of both ranks, over gloo."""
    folder = tmp_path_factory.mktemp("ranks")
    for status, words in ended(start_ranks("shared_updates", folder)):
        assert status == 0, words
    return folder


@pytest.mark.parametrize("name", AGENTS)
def test_two_ranks_learn_what_one_process_learns_of_the_same_batches(two, name):
    first, second = (load_file(two / f"{name} {rank}") for rank in (0, 1))
    expected = trained(name, ALONE)
    assert expected.keys() == first.keys() == second.keys()
    for key, tensor in expected.items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], tensor, rtol=1e-4, atol=5e-6, msg=lambda text, key=key: f"{key}: {text}")


def test_two_ranks_draw_what_one_process_draws_and_each_keeps_half_of_the_frames(two):
    first, second = (load_file(two / f"replay {rank}") for rank in (0, 1))
    for key, tensor in drawn(ALONE).items():
        if key.startswith("held"):  # which the first one saves
            assert torch.equal(first[key], tensor), key
        else:
            assert torch.equal(torch.cat([first[key], second[key]]), tensor), key
            assert len(first[key]) == len(second[key])


class Third(Ranks):
    """The last of three ranks."""

    rank, count = 2, 3


def test_a_ranks_places_of_a_batch():
    assert Third().cuts(12) == [0, 4, 8, 12]
    assert Third().part(torch.arange(12), 0).tolist() == [8, 9, 10, 11]
    assert Third().part(torch.arange(12), 0, pieces=2).tolist() == [4, 5, 10, 11]
    with pytest.raises(ConfigError, match=r"batch of 250 .* 3 processes"):
        Third().cuts(250)


def test_who_started_a_process():
    started = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "somewhere"}
    assert Launch.of(started) == Launch(5, 8, 1, 4)
    assert Launch.of(started).device("cuda") == "cuda:1"
    assert Launch.of({}) == Launch()
    assert Launch().device("cuda") == "cuda"
    with pytest.raises(ConfigError, match="WORLD_SIZE"):
        Launch.of({**started, "WORLD_SIZE": "many"})
