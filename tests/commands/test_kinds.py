"""Typed settings are of the kind of their defaults, or refused with the key named."""

import subprocess
import sys

import pytest
from helpers import ENVIRONMENT, ROOT
from hydra import compose, initialize_config_module

from commands.settings.kinds import require_typed
from commands.verbs import VERBS
from trajectories.errors import ConfigError

GROUPS = ["task", "robot", "reward", "profile", "encoder", "method", "agent"]


def regrasp(*arguments, cwd):
    command = [sys.executable, "-m", "commands", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=ENVIRONMENT)


def typed(*overrides, verb="collect", chosen=()):
    """The settings of a verb, checked."""
    with initialize_config_module("configs", version_base="1.3"):
        config, base = compose(verb, [*chosen, *overrides]), compose(verb, list(chosen))
        config.workers = base.workers = 1
        require_typed(config, overrides, GROUPS, base, VERBS[verb.replace("_", "-")])
        return config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("collect.demos=abc", "a whole number"), ("collect.demos=2.5", "a whole number"),
        ("collect.demos=null", "a whole number"), ("collect.demos=true", "a whole number"),
        ("robot.image_size=nan", "a whole number"), ("task.max_steps=[1,a]", "a whole number"),
        ("collect.noise=inf", "a number"), ("robot.cameras=5", r"a list, \[a,b\]"), ("task.prior=null", "a list"),
        ("run_dir=null", "a text"), ("run_dir=[a]", "a text"), ("progress=maybe", "true or false"),
    ],
)  # fmt: skip
def test_another_kind_than_the_defaults_is_refused_with_the_key(setting, expected):
    key, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=rf"{key} must be {expected}") as caught:
        typed(setting)
    assert f"got {value!r}; the default is" in str(caught.value)


@pytest.mark.parametrize("name", ["007", "1e3", "true", "-1"])
def test_a_text_that_looks_like_something_else_stays_as_typed(name):
    assert typed(f"run_dir={name}").run_dir == name


def test_a_number_in_place_of_auto_stays_a_number():
    assert typed("threads=2", verb="train_reward").threads == 2


def test_a_setting_takes_every_kind_that_its_file_names():
    for value, kept in (("null", None), ("[a,b]", ["a", "b"]), ("a", "a")):
        assert typed(f"train_reward.sessions={value}", verb="train_reward").train_reward.sessions == kept
    with pytest.raises(ConfigError, match=r"train_reward\.sessions must be a text"):
        typed("train_reward.sessions={a: 1}", verb="train_reward")


def test_settings_without_a_default_are_checked_by_what_they_are_said_to_be():
    assert typed("board=5", verb="calibrate").board == "5"
    assert typed("calibrate.intrinsics=null", verb="calibrate").calibrate.intrinsics is None
    with pytest.raises(ConfigError, match=r"calibrate.intrinsics must be a list, .* got .abc.; the default is null"):
        typed("calibrate.intrinsics=abc", verb="calibrate")
    with pytest.raises(ConfigError, match=r"runs must be a list, \[a,b\], got '5'; the default is null"):
        typed("runs=5", verb="compare")


def test_a_path_that_the_system_refuses_is_named_without_a_traceback(tmp_path):
    long = "x" * 300
    refused = regrasp("collect", f"run_dir={tmp_path}/{long}", "progress=false", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"regrasp: '{tmp_path}/{long}")
    assert "File name too long" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_fits_is_left_alone():
    config = typed("collect.demos=3", "collect.noise=1", "task.prior=[]", "+robot.limits.max_joint_speed=1.5",
                   "+robot.extra=a", "method.utd=null", verb="finetune", chosen=["robot=virtual"])  # fmt: skip
    assert (config.collect.demos, config.robot.limits.max_joint_speed) == (3, 1.5)
    assert typed("pretrain.held_out=0.1", verb="pretrain").pretrain.held_out == 0.1
    assert typed("robot.frame_loss=0.2", "robot.shift=light", verb="finetune").robot.frame_loss == 0.2


def test_the_command_line_says_it_and_takes_numbers_for_folders(tmp_path):
    refused = regrasp("collect", "robot=twin", "collect.demos=abc", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "regrasp: collect.demos must be a whole number, got 'abc'; the default is 4.\n",
    )
    assert "No session of 007 runs" in regrasp("say", "run_dir=007", "word=hold", cwd=tmp_path).stderr


def test_a_word_to_a_session_waits_for_no_library_of_learning(tmp_path):
    code = (
        "import sys\n"
        f"sys.argv = ['regrasp', 'say', 'word=hold', 'by=Anna', {f'run_dir={tmp_path}'!r}]\n"
        "from commands.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print(end.code, 'torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT)
    assert ran.stdout == "2 False\n", ran.stderr


def test_settings_are_checked_without_torch():
    """Verbs that compute nothing start in half the time."""
    code = "import sys; from commands.settings.schemas import described_settings; print(len(described_settings()), "
    said = subprocess.check_output([sys.executable, "-c", code + "'torch' in sys.modules)"], cwd=ROOT, text=True)
    count, loaded = said.split()
    assert int(count) > 50
    assert loaded == "False"
