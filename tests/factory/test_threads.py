"""Threads of training: one for each core that nothing else of ours needs, or the number that was given."""

import os
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_module

from factory import threads
from factory.threads import learner_threads, training_threads
from trajectories.errors import ConfigError

LARGE = ["agent.networks.critic_hidden=[256,256]"]


def composed(verb, overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides)


@pytest.fixture
def cores(monkeypatch):
    def have(number):
        monkeypatch.setattr(threads, "cores", lambda: number)

    return have


@pytest.mark.parametrize(
    ("there", "overrides", "expected"),
    [
        (1, LARGE, 1),
        (2, LARGE, 1),
        (4, LARGE, 3),
        (16, LARGE, 4),
        (4, ["robot=virtual", *LARGE], 1),
        (6, ["robot=virtual", *LARGE], 3),
        (6, ["robot=virtual", "reward.threads=2", *LARGE], 2),
        (4, ["link.address=0.0.0.0:50051", *LARGE], 4),
        (2, ["threads=3"], 3),
        (16, [], 1),  # 256 transitions x 10 critics x 128 x 128: 42 million multiply-adds
        (16, ["finetune.freeze_encoder=false"], 4),
        (16, ["agent.networks.critic_hidden=[256,242]"], 4),  # 159 million
        (16, ["agent.networks.critic_hidden=[256,228]"], 1),  # 149 million
        (16, ["+agent.online.cql_alpha=1", "+agent.online.cql_actions=2"], 4),  # 7 actions: 294 million
    ],
)
def test_the_learner_gets_what_the_others_leave(there, overrides, expected, cores):
    cores(there)
    assert learner_threads(composed("learner", overrides)).threads == expected


def test_what_runs_alone_gets_all_cores(cores):
    cores(12)
    assert training_threads(composed("pretrain", [])).threads == 12
    assert training_threads(composed("train_reward", ["threads=2"])).threads == 2


def test_the_line_says_who_needs_the_rest(cores):
    cores(8)
    line = learner_threads(composed("learner", ["robot=virtual", *LARGE])).why
    assert line == "threads=auto: 4 of 8 cores, beside actor 1, arm's loop 1, judge 1; more would not be faster."


@pytest.mark.parametrize("value", ["0", "-1", "true", "many", "1.5"])
def test_other_settings_are_refused(value):
    with pytest.raises(ConfigError, match="expected auto or a whole number of at least 1"):
        learner_threads(composed("learner", [f"threads={value}"]))


_WAITING = """
import os, sys
from commands.__main__ import main
sys.argv = ["regrasp", "doctor", "--cfg", "job"]
main()
print("WAITING", os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_somebody_wants_otherwise(given, expected):
    """The policy is there before torch is, which reads it once."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    said = subprocess.run(
        [sys.executable, "-c", _WAITING], env=environment, capture_output=True, check=True, encoding="utf-8"
    )
    assert said.stdout.splitlines()[-1] == f"WAITING {expected} False"
