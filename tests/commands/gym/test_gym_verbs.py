"""From settings to jobs, and the commands themselves on the smallest task."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from helpers import ENVIRONMENT
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.__main__ import verb_help, verb_of
from commands.bench import algorithms as bench_algorithms
from commands.bench.algorithms import offline_part, settings_of
from commands.bench.data import recorded
from commands.gym import evaluate as gym_evaluate
from commands.gym import finetune as gym_finetune
from commands.gym import pretrain as gym_pretrain
from commands.gym.job import (
    dataset_of,
    default_folder,
    encoder_of,
    env_settings,
    gym_run,
    merged,
    named_env,
    offline_settings,
    online_settings,
)
from commands.verbs import VERBS
from policies.agent.methods import METHODS
from policies.gym.environment import make_env
from policies.gym.observation_spaces import Layout
from policies.gym.settings import DataSettings
from policies.perception.encoders.config import EncoderConfig
from trajectories.errors import CheckpointError, ConfigError
from trajectories.writer_lock import only_writer


def config(verb, *overrides):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        return compose(VERBS[verb].config_name, list(overrides))


def regrasp(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "commands", *arguments],
        capture_output=True, text=True, cwd=cwd, check=False, env=ENVIRONMENT,
    )  # fmt: skip


def test_verbs_are_found_by_one_word_two_or_their_environment():
    assert verb_of(["pretrain", "seed=1"]) == ("pretrain", ["seed=1"])
    assert verb_of(["pretrain", "seed=1", "env=X-v0"]) == ("pretrain env=ID", ["seed=1", "env=X-v0"])
    assert verb_of(["bench", "data", "env=pot"]) == ("bench data", ["env=pot"])
    assert verb_of(["evaluate", "env=X-v0"]) == ("evaluate env=ID", ["env=X-v0"])
    assert verb_of(["inspect", "env=X-v0"]) == ("inspect", ["env=X-v0"])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_settings(verb):
    text = verb_help(verb)
    assert VERBS[verb].summary in text
    assert "machinery" not in text
    assert ("|pot_pick_place|" in text) == (VERBS[verb].config_module == "configs")


@pytest.mark.parametrize("name", METHODS.own)
def test_every_method_makes_a_job(name):
    run = gym_run(config("finetune env=ID", "env=umaze", f"method={name}"))
    assert run.job.agent.networks.critic_hidden == run.job.agent.networks.actor_hidden == (64, 64)
    settings = online_settings(config("finetune env=ID", "env=umaze"), run, 100)
    assert settings.utd == run.method.utd
    assert settings.batch == run.method.batch


def test_what_settings_leave_open_is_the_tasks_then_the_methods_own():
    run = gym_run(config("bench algorithms", "env=umaze", "method=wsrl"))
    assert run.job.data == DataSettings(reward_scale=10.0, reward_bias=-5.0)
    assert run.job.env.max_steps == 120
    assert run.dataset == "umaze"
    changed = config(
        "bench algorithms", "env=umaze", "method=rlpd", "data.reward_scale=2", "max_steps=30", "utd=7", "batch=32",
        "+agent.networks.critics=3", "+agent.online.actor_q=min", "offline_ratio=0.25", "dataset=x.hdf5",
    )  # fmt: skip
    run = gym_run(changed)
    assert run.job.data == DataSettings(reward_scale=2.0, reward_bias=-5.0)
    assert run.job.env.max_steps == 30
    assert run.job.agent.networks.critics == 3
    assert run.job.agent.online.actor_q == "min"
    assert run.job.agent.offline.actor_q == "mean"
    assert run.dataset == "x.hdf5"
    settings = online_settings(changed, run, 500)
    assert (settings.utd, settings.batch, settings.offline_ratio, settings.steps) == (7, 32, 0.25, 500)
    assert offline_settings(changed, run, 50).batch == 32


def test_published_widths_come_back_on_bench_tasks():
    run = gym_run(config("bench algorithms", "env=puck", "method=calql", "hidden=published"))
    assert run.job.agent.networks.critic_hidden == (512,) * 3
    with pytest.raises(ConfigError, match="hidden=wide is unknown"):
        gym_run(config("bench algorithms", "env=puck", "method=calql", "hidden=wide"))


def test_longer_episodes_reach_a_task_that_cuts_them_itself():
    run = gym_run(config("bench algorithms", "env=puck", "method=bc", "max_steps=60"))
    assert (run.job.env.max_steps, run.job.env.kwargs["max_steps"]) == (60, 60)
    env = make_env(run.job.env)
    env.reset(seed=0)
    lengths = [any(env.step(np.zeros(4, np.float32))[2:4]) for _ in range(60)]
    assert lengths.index(True) == 59


def test_data_of_another_environment_are_refused():
    for name, changes in {"reward_type": "+env_kwargs.reward_type=dense", "spread": "+env_kwargs.spread=wide"}.items():
        made = config("pretrain env=ID", "env=umaze" if name == "reward_type" else "env=puck", "method=bc", changes)
        with pytest.raises(ConfigError, match=f"other env_kwargs: {name} differ"):
            dataset_of(gym_run(made), made)
    made = config("finetune env=ID", "env=PointMaze_UMaze-v3", "method=sac", "data.normalise=true")
    with pytest.raises(ConfigError, match=r"data\.normalise=true takes mean and spread from a data set"):
        dataset_of(gym_run(made), made)


def test_first_updates_utd_and_normalising_are_the_methods_own():
    def settings(verb, name):
        made = config(verb, "env=umaze", f"method={name}")
        run = gym_run(made)
        return online_settings(made, run, 100), run.job.data.normalise

    assert [settings("finetune env=ID", name)[0].warmup_steps for name in ("calql", "wsrl", "wsrl_kl")] == [
        0,
        5000,
        5000,
    ]
    assert [settings(verb, "rlpd")[0].utd for verb in ("finetune env=ID", "bench algorithms")] == [20, 4]
    assert [settings("finetune env=ID", name)[1] for name in ("td3bc", "iql")] == [True, False]


def test_published_networks_stay_on_environments_that_are_no_bench_task():
    run = gym_run(config("pretrain env=ID", "env=PointMaze_UMaze-v3", "method=calql", "family=antmaze", "run_dir=here"))
    assert run.job.agent.networks.critic_hidden == (256,) * 4
    assert run.job.data == DataSettings()
    assert run.dataset is None
    assert run.folder == Path("here")
    other = gym_run(config("pretrain env=ID", "env=regrasp/PushPuckState-v0", "method=bc", "seed=3"))
    assert other.folder == Path("runs/gym/regrasp_PushPuckState-v0/bc/seed3")


def test_settings_that_nobody_knows_are_refused():
    with pytest.raises(ConfigError, match="no method 'dqn'; there are awac, bc, "):
        gym_run(config("pretrain env=ID", "env=umaze", "method=dqn"))
    with pytest.raises(ConfigError, match="family=atari is unknown"):
        gym_run(config("pretrain env=ID", "env=umaze", "family=atari"))
    with pytest.raises(ConfigError, match="criticss"):
        gym_run(config("pretrain env=ID", "env=umaze", "+agent.networks.criticss=3"))
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}


_VIEW = spaces.Box(0, 255, (8, 8, 3), np.uint8)
VIEWS = Layout.of(spaces.Dict({"wrist": _VIEW, "front": _VIEW}), "test")
SMALL = ("batch=16", "evaluate.episodes=2", "warmup_steps=60", "progress=false", "agent.compile=false")


def test_a_bench_trains_every_cell_once_and_draws_them(tmp_path):
    recorded("umaze", tmp_path / "runs/gym/data", 0, episodes=4)
    bench = ("bench", "algorithms", "env=umaze", "method=iql,bc", "seed=0", "steps=130", "offline_steps=6", *SMALL)
    first = regrasp(*bench, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "runs" / "bench"
    rows = json.loads((out / "results.json").read_text())
    found = {(row["label"], row["measure"]): row["steps"] for row in rows}
    assert found == {
        (label, f"{mode}/success"): steps
        for label, steps in (("iql", 130), ("bc", 0))
        for mode in ("stochastic", "deterministic")
    }
    assert (out / "curves_umaze.svg").read_text().startswith("<svg")
    again = regrasp(*bench, cwd=tmp_path)
    assert again.stdout.count("done before") == 2
    assert json.loads((out / "results.json").read_text()) == rows
    named = regrasp(*bench[:3], "method=iql", *bench[4:], "label=by value", cwd=tmp_path)
    assert named.stdout.count("done before") == 1, named.stderr
    labels = [row["label"] for row in json.loads((out / "results.json").read_text())]
    assert labels == [label.replace("iql", "by value") for label in (row["label"] for row in rows)]


def test_cells_that_begin_alike_share_their_training_offline(tmp_path):
    for seed in (0, 1):
        recorded("umaze", tmp_path, seed, episodes=2)

    def part(*settings):
        made = config("bench algorithms", "env=umaze", "method=wsrl", f"data_dir={tmp_path}", *settings)
        run = gym_run(made)
        return offline_part(made, run, settings_of(made, run), tmp_path)

    base = part()
    for later in ("warmup_steps=7", "utd=2", "+agent.online.actor_q=mean", "offline_ratio=0.5", "steps=50"):
        assert part(later) == base
    for often in ("checkpoint_every=3", "offline_evaluate_every=3", "evaluate_every=3"):
        assert part(often) == base
    assert part("method=wsrl_kl").folder == base.folder
    for before in (
        "method=calql",
        "offline_steps=7",
        "+agent.offline.cql_alpha=2",
        "+agent.tau=0.1",
        "seed=1",
        "data_seed=1",
        "batch=32",
    ):
        assert part(before).folder != base.folder
    recorded("umaze", tmp_path / "others", 0, episodes=3)
    assert part(f"data_dir={tmp_path}/others").folder != base.folder  # other data under the same name


def test_a_bench_has_no_folder_of_one_run():
    with pytest.raises(ConfigError, match="give out=FOLDER instead of run_dir"):
        bench_algorithms.run(config("bench algorithms", "env=umaze", "method=bc", "run_dir=here"))


def test_pretrain_and_finetune_take_an_environment_and_a_file(tmp_path):
    path = recorded("umaze", tmp_path, 0, episodes=4)
    where = (
        "env=PointMaze_UMaze-v3", "+env_kwargs.continuing_task=false", "max_steps=40", "method=iql",
        f"dataset={path}", *(f"+agent.networks.{name}_hidden=[16]" for name in ("actor", "critic", "value")),
        "batch=16", "evaluate.episodes=1", "progress=false", f"run_dir={tmp_path}/run",
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="Run `regrasp pretrain` with the same env"):
        gym_finetune.run(config("finetune env=ID", *where))
    gym_pretrain.run(config("pretrain env=ID", *where, "steps=5"))
    tuned = regrasp("finetune", *where, "steps=50", "warmup_steps=30", cwd=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    assert "after 0 steps: stochastic: return" in tuned.stdout
    assert "after 50 steps: stochastic: return" in tuned.stdout
    gym_evaluate.run(config("evaluate env=ID", *where[:4], *where[-4:], "evaluate.episodes=2"))
    written = list((tmp_path / "run" / "online" / "evaluations").glob("*.json"))
    found = json.loads(written[0].read_text())
    assert len(written) == 1
    assert found["conditions"]["env"]["id"] == "PointMaze_UMaze-v3"
    assert {mode: len(rows) for mode, rows in found["episodes"].items()} == {"stochastic": 2, "deterministic": 2}
    with pytest.raises(CheckpointError, match="Run `regrasp pretrain` or `regrasp finetune` with the same env"):
        gym_evaluate.run(config("evaluate env=ID", "env=umaze", f"run_dir={tmp_path}/none"))
    with pytest.raises(ConfigError, match=r"was trained in PointMaze_UMaze-v3, not in PointMaze_Medium-v3"):
        gym_evaluate.run(config("evaluate env=ID", "env=maze", f"run_dir={tmp_path}/run"))
    with pytest.raises(ConfigError, match="method=sac begins online"):
        gym_pretrain.run(config("pretrain env=ID", *where[:3], "method=sac"))
    with pytest.raises(ConfigError, match="method=bc learns from a data set only"):
        gym_finetune.run(config("finetune env=ID", *where[:3], "method=bc"))
    with pytest.raises(ConfigError, match="give dataset=FILE"):
        gym_pretrain.run(config("pretrain env=ID", *where[:3], "method=bc"))


@pytest.mark.parametrize(("verb", "part"), [(gym_pretrain, "offline"), (gym_finetune, "online")])
def test_a_second_training_in_one_folder_is_refused(verb, part, tmp_path, monkeypatch):
    path = recorded("umaze", tmp_path, 0, episodes=2)
    name = "pretrain env=ID" if part == "offline" else "finetune env=ID"
    method = "iql" if part == "offline" else "sac"
    settings = config(name, "env=umaze", f"method={method}", f"dataset={path}", f"run_dir={tmp_path}/run", "steps=5")
    (tmp_path / "run" / part).mkdir(parents=True)
    (tmp_path / "run" / part / "metrics").write_text("the first one's")
    with only_writer(tmp_path / "run" / part), pytest.raises(ConfigError, match=r"already runs in .*another run_dir"):
        verb.run(settings)
    assert (tmp_path / "run" / part / "metrics").read_text() == "the first one's"


def test_robosuites_tasks_have_a_short_name_and_limits_of_their_own():
    env = named_env("robosuite:Lift")
    assert (env.id, env.kwargs, env.max_steps) == ("robosuite/Lift-v0", {"max_steps": 400}, None)
    made = config("finetune env=ID", "env=robosuite:Lift", "max_steps=7", "+env_kwargs.robots=Sawyer")
    assert env_settings(made, None).kwargs == {"max_steps": 7, "robots": "Sawyer"}
    assert default_folder(made) == Path("runs/gym/robosuite_Lift/wsrl/seed0")


PLACES = [
    "encoder.network.stage=2",
    "encoder.network.pooling=spatial_softmax",
    "encoder.width=0",
    "encoder.proprio_width=0",
]


@pytest.mark.parametrize(("name", "places"), [("cnn", []), ("resnet", []), ("clip", PLACES)])
def test_encoders_of_environments_are_those_of_robots_without_words(name, places):
    ours = encoder_of(config("pretrain env=ID", f"encoder={name}", *places), VIEWS)
    with initialize_config_module("configs", version_base="1.3"):
        robots = OmegaConf.to_container(compose("demo", [f"encoder={name}"]).encoder)
    theirs = EncoderConfig.from_dict(
        {**robots, "cameras": ["front", "wrist"], "instruction": "none", "keypoints": False}
    )
    assert ours == theirs
    some = encoder_of(config("pretrain env=ID", f"encoder={name}", "encoder.cameras=[wrist]"), VIEWS)
    assert some.cameras == ("wrist",)
    assert encoder_of(config("pretrain env=ID"), VIEWS) is None
    with pytest.raises(ConfigError, match="maze observes no images"):
        encoder_of(config("pretrain env=ID", f"encoder={name}"), Layout((), ()))
