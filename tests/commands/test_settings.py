"""The list of settings: complete for every verb, nothing in it is never read, and errors advise only what is there."""

import ast
import re
import subprocess
import sys

import pytest
import yaml
from helpers import ENVIRONMENT, ROOT
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from test_house import ROOMS, python_files

from commands.__main__ import not_composed, verb_help
from commands.settings.known import require_known_settings
from commands.settings.listing import all_settings, close_keys, paths_read, read_settings
from commands.settings.reads import is_read
from commands.settings.written import settings_in
from commands.verbs import VERBS
from trajectories.errors import ConfigError

OmegaConf.register_new_resolver("cores", lambda: 2, replace=True)
OWN_GROUPS = {"task", "robot", "profile", "encoder", "method", "reward", "agent", "device", "engine"}


def leaves(node, prefix=""):
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def composed(verb, *overrides):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        return set(leaves(OmegaConf.to_container(compose(VERBS[verb].config_name, list(overrides)))))


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_has_what_hydra_composes(verb):
    assert {setting.key for setting in all_settings(VERBS[verb])} == composed(verb)


@pytest.mark.parametrize(
    ("verb", "there", "elsewhere"),
    [
        (
            "finetune",
            {"finetune.steps", "method.utd", "+agent.networks.critic_norm", "reward.frames", "link.address", "seed"},
            {"collect.demos", "evaluate.episodes", "evaluate_reward.seed"},
        ),
        ("collect", {"collect.demos", "task.prior", "workers", "robot.spread"}, {"finetune.steps", "agent.gamma"}),
        ("say", {"word", "by", "run_dir"}, {"method.name", "robot.cameras", "agent.gamma", "workers"}),
        ("bench data", {"env", "episodes", "data_dir", "seed"}, set()),
        ("demo", {"collect.demos", "pretrain.steps", "finetune.steps", "evaluate.episodes"}, set()),
    ],
)
def test_help_lists_what_a_verb_reads_and_nothing_else(verb, there, elsewhere):
    listed = {setting.key for setting in read_settings(VERBS[verb])}
    assert there <= listed
    assert not elsewhere & listed
    text = verb_help(verb)
    for setting in read_settings(VERBS[verb]):
        assert f"  {setting.key}={setting.default}" in text


def test_a_setting_is_said_with_its_default_type_and_meaning():
    found = {setting.key: setting for setting in read_settings(VERBS["finetune"])}
    steps = found["finetune.steps"]
    assert (steps.default, steps.kind, steps.meaning) == ("6000", "whole number", "environment steps of the robot")
    assert (found["agent.compile"].default, found["agent.compile"].kind) == ("auto", "auto|true|false")
    assert found["method.offline"].kind == "target|successes|all"
    assert found["method.registry"].kind == "text or null"
    assert found["+agent.networks.critic_norm"].kind == "true or false"
    held_out = next(s for s in all_settings(VERBS["pretrain"]) if s.key == "pretrain.held_out")
    assert held_out.meaning.endswith("With dozens of them 0.1 is a good share")  # of the line below, too


def fits(value, kind):
    """Whether a default, as YAML reads it, is of the type or among the values that the list says it has."""
    if isinstance(value, str) and "${" in value:
        return True
    number = not isinstance(value, bool) and re.fullmatch(r"-?\d+(\.\d*)?(e-?\d+)?", str(value))
    types = {
        "true or false": isinstance(value, bool),
        "whole number": bool(number) and float(value) == int(float(value)),
        "number": bool(number),
        "text": isinstance(value, str),
        "list": isinstance(value, list),
        "settings": isinstance(value, dict),
        "null": value is None,
    }
    parts = re.split(r"(?<!true) or ", kind)
    choices = {choice for part in parts if part not in types for choice in part.split("|")}
    return any(types.get(part, False) for part in parts) or str(value).lower() in choices


@pytest.mark.parametrize("verb", VERBS)
def test_no_setting_is_without_a_meaning_and_a_type_that_its_default_has(verb):
    listed = read_settings(VERBS[verb])
    assert [one.key for one in listed if len(one.meaning.split()) < 2 or "None" in one.meaning] == []
    assert {one.key: one.kind for one in listed if one.kind in ("", "null")} == {}
    given = [(one, yaml.safe_load(one.default)) for one in listed if one.default != "?"]
    assert {one.key: (one.default, one.kind) for one, value in given if not fits(value, one.kind)} == {}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("auto", "auto|true|false"), (True, "auto|true|false"), ("2e9", "whole number"), (None, "text or null"),
        ("auto", "whole number or auto"), (0, "number"), (False, "true or false or null"), (None, "a|b or null"),
    ],
)  # fmt: skip
def test_a_type_that_fits(value, kind):
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0.5, "whole number"), (None, "text"), ("on", "true or false"), ("none", "auto|true|false"), (True, "number"),
        ([1], "settings or null"), ("c", "a|b or null"), (0, "true or false or null"),
    ],
)  # fmt: skip
def test_a_type_that_does_not_fit(value, kind):
    assert not fits(value, kind)


@pytest.mark.parametrize(
    ("comment", "kind", "meaning"),
    [
        ("text or null; a file: draw it", "text or null", "a file: draw it"),
        ("auto|cpu|cuda; where; or not", "auto|cpu|cuda", "where; or not"),
        ("whole number or auto; threads", "whole number or auto", "threads"),
        ("true or false or null; whether", "true or false or null", "whether"),
        ("film: scales maps; concat: adds", "", "film: scales maps; concat: adds"),
        ("nats; below", "", "nats; below"),
    ],
)
def test_a_comment_may_begin_with_the_type(comment, kind, meaning):
    (setting,) = settings_in(f"key: x  # {comment}\n", "group.")
    assert (setting.key, setting.kind, setting.meaning) == ("group.key", kind, meaning)


@pytest.mark.parametrize(
    ("verb", "typed", "meant"),
    [
        ("finetune", "finetune.stpes", "finetune.steps"),
        ("finetune", "warmup_steps", "finetune.warmup_steps"),
        ("finetune", "sed", "seed"),
        ("learner", "finetune.batch", "method.batch"),
        ("pretrain env=ID", "dataste", "dataset"),
        ("compare", "run", "runs"),
    ],
)
def test_a_typo_gets_the_key_that_was_meant(verb, typed, meant):
    assert meant in close_keys(VERBS[verb], typed)
    with (
        initialize_config_module(VERBS[verb].config_module, version_base="1.3"),
        pytest.raises(Exception, match="Could not override") as caught,
    ):
        compose(VERBS[verb].config_name, [f"{typed}=1"])
    said = not_composed(verb, caught.value)
    assert f"has no setting {typed!r}. Did you mean " in said
    assert meant in said


def test_every_setting_is_read_by_some_verb():
    read = frozenset().union(*(paths_read(verb) for verb in VERBS.values()))
    dead = set()
    for verb in VERBS:
        dead |= {key for key in composed(verb) if not is_read(key, read)}
    for group in ("robot", "task", "reward", "encoder", "method", "agent"):
        for path in (ROOT / "configs" / group).glob("*.yaml"):
            dead |= {key for key in composed("demo", f"{group}={path.stem}") if not is_read(key, read)}
    assert dead == set()


def advised():
    """Dotted keys of settings that texts in the code name, apart from docstrings."""
    for room in ROOMS:
        for path in python_files(room):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
                    for key in re.findall(r"(?<![\w./-])\+?([a-z_]+(?:\.[a-z_]+)+)\b(?!\()", node.value):
                        yield key, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_texts_name_only_settings_that_there_are():
    known = {setting.key.lstrip("+") for verb in VERBS.values() for setting in read_settings(verb)}
    known |= {"reward.kind"}  # of reward models of packages outside
    for group in ("robot", "task", "reward", "encoder", "method", "agent", "device", "engine"):
        for path in (ROOT / "configs" / group).glob("*.yaml"):
            verb = "finetune" if group == "device" else "demo"
            known |= composed(verb, f"{group}={path.stem}")
    known |= {key.rpartition(".")[0] for key in known} | {key.rpartition(".")[0].rpartition(".")[0] for key in known}
    sections = {key.partition(".")[0] for key in known if "." in key} | OWN_GROUPS
    wrong = {
        f"{where}: {key}"
        for key, where in advised()
        if key.partition(".")[0] in sections and key not in known and not _is_module(key)
    }
    assert wrong == set()


def _is_module(key):
    """Whether a dotted word is a file, a module, or something in one."""
    path, inside = (ROOT / name.replace(".", "/") for name in (key, key.rpartition(".")[0]))
    file = key.rpartition(".")[2] in ("json", "safetensors", "html", "pem", "example", "log")
    return file or any(one.exists() or one.with_suffix(".py").exists() for one in (path, inside))


def test_a_setting_that_no_file_names_is_said_to_need_a_plus():
    with initialize_config_module("configs", version_base="1.3"), pytest.raises(Exception, match="override") as caught:
        compose("train_reward", ["reward.folds=3"])
    assert "with a plus: +reward.folds=value" in not_composed("train-reward", caught.value)
    with initialize_config_module("configs", version_base="1.3"):
        assert compose("train_reward", ["+reward.folds=3"]).reward.folds == 3


def require_known(verb, *overrides, folders=()):
    with initialize_config_module(VERBS[verb].config_module, version_base="1.3"):
        config = compose(VERBS[verb].config_name, [o for o in overrides if not o.startswith("+device=")])
    require_known_settings(verb, config, overrides, {"device"}, folders)


@pytest.mark.parametrize(
    ("verb", "added", "key", "meant"),
    [
        ("finetune", "+reward.fold=9", "reward.fold", "+reward.folds"),
        ("demo", "+reward.fold=9", "reward.fold", "+reward.folds"),
        ("evaluate", "++reward.fold=9", "reward.fold", "+reward.folds"),
        ("say", "+reward={fold: 9}", "reward.fold", "+reward.folds"),
        ("learner", "+finetune.utd=9", "finetune.utd", "method.utd"),
        ("actor", "+agent.online.bc_wieght=1", "agent.online.bc_wieght", "+agent.online.bc_weight"),
        (
            "collect",
            "+agent.networks.critic_bins={bin: 5}",
            "agent.networks.critic_bins.bin",
            "networks.critic_bins.bins",
        ),
        ("teleop", "+robot.limits.max_joint_sped=2", "robot.limits.max_joint_sped", "+robot.limits.max_joint_speed"),
        ("finetune env=ID", "+agent.networks.critic=5", "agent.networks.critic", "+agent.networks.critics"),
        ("pretrain", "+collect.demo=9", "collect.demo", "collect.demos"),
        ("pretrain", "+sed=1", "sed", "seed"),
    ],
)
def test_an_added_setting_that_no_verb_knows_is_refused(verb, added, key, meant):
    with pytest.raises(ConfigError) as caught:
        require_known(verb, added)
    word = verb.partition(" ")[0]
    assert str(caught.value).startswith(f"{word} has no setting '{key}'. Did you mean ")
    assert meant in str(caught.value)


@pytest.mark.parametrize(
    "verb", ["finetune", "demo", "pretrain", "evaluate", "teleop", "collect", "actor", "learner", "say"]
)
def test_an_added_setting_that_some_verb_or_stage_reads_is_let_through(verb):
    require_known(
        verb,
        "+reward.folds=5",
        "++reward.camera=wrist",
        "+agent.networks.critic_norm=false",
        "+agent.networks.critic_bins={bins: 51, low: -20, high: 0}",
        "+robot.limits={max_joint_speed: 1.5}",
        "+robot.arm.guard.lowest_v=10",
        "+robot.port=FT4THVDH",
        "+task.instructions={forward: [put it down], backward: [take it up]}",
        "+device=keyboard",
        "seed=3",
    )


def test_names_that_a_person_gives_are_free_and_what_stands_below_them_is_not():
    wrist = "+robot.cameras.wrist={kind: uvc, device: /dev/video2, patience: {frozen_s: 3}}"
    require_known("doctor", "robot=widowx", wrist)
    require_known("teleop", "device=gamepad", "+device.controls.keys.BTN_THUMBR=undo", "+device.ranges.ABS_X=[0, 255]")
    require_known("finetune env=ID", "+env_kwargs.goal.radius=0.2")
    with pytest.raises(ConfigError, match=r"no setting 'robot\.cameras\.wrist\.frps'\. Did you mean .*\.fps"):
        require_known("doctor", "robot=widowx", "+robot.cameras.wrist={kind: uvc, frps: 30}")
    with pytest.raises(ConfigError, match=r"'device\.takeover\.still'\. Did you mean device\.takeover\.still_s"):
        require_known("teleop", "+device.takeover.still=1")


def test_groups_of_packages_outside_and_of_a_persons_own_files_hold_what_they_say(tmp_path):
    require_known("train-reward", "+reward.kind=brightness", "+reward.level=0.5")  # its own kind refuses what it lacks
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("# @package task\nname: mine\nshelf: {height: 1}\n")
    require_known("collect", "++task.shelf.height=2", folders=[tmp_path])
    with pytest.raises(ConfigError, match=r"no setting 'task\.shelf\.height'"):
        require_known("collect", "++task.shelf.height=2")


def test_a_verb_that_hands_its_settings_on_refuses_before_it_does_anything(tmp_path):
    command = [sys.executable, "-m", "commands", "finetune", "+reward.fold=9", f"run_dir={tmp_path / 'run'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert ran.returncode == 2
    assert "regrasp: finetune has no setting 'reward.fold'. Did you mean +reward.folds" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("robot.limits={max_joint_speed: 1.5}", "robot.limits.max_joint_speed"),
        ("robot.limits.max_joint_speed=1", "robot.limits.max_joint_speed"),
        ("robot.arm={rate_hz: 50}", "robot.arm.rate_hz"),
    ],
)
def test_a_setting_inside_settings_that_no_file_names_is_said_to_need_a_plus(typed, key):
    with initialize_config_module("configs", version_base="1.3"), pytest.raises(Exception, match="override") as caught:
        compose("teleop", ["robot=virtual", typed])
    assert not_composed("teleop", caught.value) == (
        f"{key} is in none of the files, so it has to be added, with a plus: +{key}=value."
    )
    with initialize_config_module("configs", version_base="1.3"):
        assert OmegaConf.select(compose("teleop", ["robot=virtual", f"+{key}=2"]), key) == 2


@pytest.mark.parametrize(
    ("judge", "typed", "said"),
    [
        (
            "vice",
            "reward.cameras=[front]",
            "reward.cameras is a setting of reward=clip, reward=embedded; reward=vice has",
        ),
        ("vice", "reward.goal=mean", "reward.goal is a setting of reward=goal_pictures; reward=vice has none"),
        ("perceptual", "reward.augmentations=0", "is a setting of reward=clip, reward=embedded; reward=perceptual has"),
        ("vice", "reward.folds=3", "reward.folds is in none of the files, so it has to be added, with a plus"),
        ("embedded", "reward.steps=3", "reward.steps is in none of the files, so it has to be added, with a plus"),
    ],
)
def test_a_setting_of_other_judges_is_said_to_be_theirs(judge, typed, said):
    arguments = [f"reward={judge}", typed]
    with initialize_config_module("configs", version_base="1.3"), pytest.raises(Exception, match="override") as caught:
        compose("train_reward", arguments)
    assert said in not_composed("train-reward", caught.value, arguments)
