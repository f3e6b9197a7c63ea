"""`collect` goes on with a store only under the settings that its episodes were recorded with."""

from dataclasses import replace

import pytest
from helpers.trajectory_samples import SPEC, sample_episode

from commands.collect.collect import conditions_of, missing_jobs
from commands.collect.plan import collect_plan
from factory.twin import TwinSettings
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore

SETTINGS = TwinSettings("pot_pick_place", 3, ("front",), 96, True, "wide")


def plan(**changes):
    settings = {
        "task": "pot_pick_place", "prior_tasks": [], "failures": ["miss"], "demos": 2, "demo_failures": 0,
        "prior_episodes": 0, "play": 0, "aftermath": 0, "noise": 0.2, "seed": 3, "max_steps": 40,
    }  # fmt: skip
    return collect_plan(**{**settings, **changes})


@pytest.fixture
def store(tmp_path):
    """A store that has the first two of four planned episodes."""
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        for number, job in enumerate(plan()[:2]):
            store.commit(sample_episode(number, metadata={"job": job.key, "conditions": conditions_of(SETTINGS, job)}))
        yield store


def test_what_is_there_is_not_recorded_again(store):
    assert missing_jobs(store, SETTINGS, plan()) == plan()[2:]


@pytest.mark.parametrize(
    ("settings", "changes", "match"),
    [
        (SETTINGS, {"noise": 0.9}, r"noise = 0\.2, the settings ask for 0\.9"),
        (SETTINGS, {"max_steps": 80}, "max_steps = 40"),
        (replace(SETTINGS, spread="narrow"), {}, "spread = 'wide'.*'narrow'"),
        (replace(SETTINGS, randomise=False), {}, "randomise = True"),
        (replace(SETTINGS, arm="vx300s"), {}, "arm = 'wx250s'"),
    ],
)
def test_other_settings_are_refused_by_name(store, settings, changes, match):
    with pytest.raises(ConfigError, match=f"Episode .*{match}.*run_dir"):
        missing_jobs(store, settings, plan(**changes))


def test_a_store_of_an_earlier_version_goes_on(tmp_path):
    with TrajectoryStore(tmp_path / "data", SPEC) as store:
        store.commit(sample_episode(0, metadata={"job": plan()[0].key}))
        assert missing_jobs(store, SETTINGS, plan(noise=0.9)) == plan(noise=0.9)[1:]


def test_episodes_beyond_the_settings_are_said(store, capsys):
    assert missing_jobs(store, SETTINGS, plan(demos=1)) == plan(demos=1)[1:]
    assert "holds 1 episodes beyond" in capsys.readouterr().out
