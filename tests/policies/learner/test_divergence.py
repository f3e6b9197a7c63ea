"""A critic that expects the impossible is reported, once; one that doesn't isn't."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from helpers.line_world import small_agent

from policies.learner.divergence import DivergenceWatch

SPARSE = torch.tensor([-5.0, -5.0, 5.0])  # with gamma 0.9: returns from -50 to 50, warned of beyond -60 and 60


def watch(**changes):
    return DivergenceWatch(replace(small_agent(), gamma=0.9, **changes), "Normalise.")


def silent(watching, rewards, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watching.look(rewards, {"critic/target": torch.tensor(value)})


@pytest.mark.parametrize("value", [-61.0, 61.0, math.nan, math.inf])
def test_impossible_values_are_reported_once(value):
    watching = watch()
    with pytest.warns(RuntimeWarning, match=r"returns lie between -50 and 50"):
        watching.look(SPARSE, {"critic/target": torch.tensor(value)})
    silent(watching, SPARSE, value)


@pytest.mark.parametrize("value", [-59.0, 0.0, 59.0])
def test_possible_values_are_not(value):
    silent(watch(), SPARSE, value)


def test_a_termination_is_worth_nothing():
    """Rewards of -1 alone: returns from -10 up to the 0 that follows a termination."""
    silent(watch(), torch.tensor([-1.0]), 0.9)
    with pytest.warns(RuntimeWarning, match="between -10 and 0"):
        watch().look(torch.tensor([-1.0]), {"critic/target": torch.tensor(1.1)})


def test_rewards_of_all_updates_count():
    watching = watch()
    silent(watching, SPARSE, 0.0)
    silent(watching, torch.tensor([-5.0]), 55.0)


def test_nothing_is_said_without_a_scale_or_a_critic():
    silent(watch(), torch.zeros(3), 0.5)
    watch().look(SPARSE, {"actor/loss": torch.tensor(0.0)})


def test_what_is_no_number_is_reported_without_a_scale_too():
    with pytest.warns(RuntimeWarning, match="mean target is nan"):
        watch().look(torch.zeros(3), {"critic/target": torch.tensor(math.nan)})


def test_entropy_in_the_target_has_no_bounds():
    phase = replace(small_agent().online, entropy_backup=True)
    silent(watch(online=phase), SPARSE, 100.0)
