"""What was recorded beside what training needs: counted per direction, and said once when it is enough."""

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.needs import ENOUGH, Needs, Watch, needs_of, recorded
from trajectories.manifest import EpisodeInfo

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
NEEDS = Needs({"successes": 2, "failures": 1, "looks back": 1}, least=3)


def episode(direction="forward", outcome="success", kind="demo", task="mine"):
    return EpisodeInfo("id", task, "do it", direction, outcome, 5, {"kind": kind})


ENOUGH_OF_ALL = [
    one
    for way in ("forward", "backward")
    for one in (
        *(episode(way) for _ in range(2)), *(episode(way, "failure", "failure") for _ in range(2)),
        episode(way, kind="aftermath"),
    )
]  # fmt: skip


def test_what_counts_as_what():
    infos = [
        episode(), episode("backward", "failure", "failure"), episode(kind="aftermath"),
        episode(outcome="failure", kind="aftermath"), episode(kind="play"), episode(outcome="unknown"),
        episode(task="another"),
    ]  # fmt: skip
    assert dict(recorded(infos, "mine")) == {
        ("forward", "successes"): 1, ("backward", "failures"): 1, ("forward", "looks back"): 2,
    }  # fmt: skip


def test_the_table_says_what_is_missing_in_which_direction():
    text = NEEDS.table(recorded([episode(), episode(), episode(kind="aftermath")], "mine"))
    assert "2 of 2        0 of 2" in text
    for words in ("1 more successes before `regrasp train-reward`", "3 more failures before", "forward 1 more failures",
                  "backward 2 more successes", "backward 1 more looks back"):  # fmt: skip
        assert words in text
    assert "forward 2 more" not in text
    assert NEEDS.table(recorded(ENOUGH_OF_ALL, "mine")).endswith(ENOUGH)


def test_it_is_said_once_and_again_after_something_was_taken_back():
    watch = Watch(NEEDS, "mine", ENOUGH_OF_ALL[1:])
    assert watch.after(ENOUGH_OF_ALL[1:]) is None
    assert watch.after(ENOUGH_OF_ALL) == ENOUGH
    assert watch.after([*ENOUGH_OF_ALL, episode()]) is None
    assert watch.after(ENOUGH_OF_ALL[1:]) is None
    assert watch.after(ENOUGH_OF_ALL) == ENOUGH


@pytest.mark.parametrize(("overrides", "least"), [((), 4), (("profile=tiny",), 3), (("+reward.folds=6",), 6)])
def test_needs_are_those_of_profile_and_reward_model(overrides, least):
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("teleop", list(overrides))
    needs = needs_of(config)
    assert needs.least == least
    assert list(needs.each.values()) == [config.collect.demos, config.collect.failures, config.collect.aftermath]
