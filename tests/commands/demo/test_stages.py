"""Stages run once; other settings are noticed before anything is done or written."""

import json
import os
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.demo import demo
from commands.demo.evaluating_beside import spare_workers
from commands.demo.stages import Stage, Stages, chosen
from factory.run_folders import finetune_folder
from trajectories.errors import ConfigError
from trajectories.writer_lock import only_writer


def stage(name, settings, work=lambda: None, **more):
    return Stage(name, work, settings, **more)


def test_a_stage_runs_once_and_its_time_is_kept(tmp_path):
    ran = []
    for _ in range(2):
        stages = Stages(tmp_path)
        stages.run(stage("one", {"a": 1}, lambda: ran.append(1)))
        assert set(stages.seconds) == {"one"}
    assert ran == [1]


def test_the_time_is_that_of_the_stages_asked_for(tmp_path):
    Stages(tmp_path).run(stage("fine-tune (wsrl)", {}))
    stages = Stages(tmp_path)
    stages.run(stage("fine-tune (rlpd)", {}))
    assert set(stages.seconds) == {"fine-tune (rlpd)"}


def test_a_setting_that_was_not_written_down_then_is_taken_to_be_the_same(tmp_path):
    Stages(tmp_path).run(stage("collect", {"collect.demos": 6}))
    now = {"collect.demos": 6, "robot.model": "wx250s"}
    Stages(tmp_path).run(stage("collect", now, lambda: pytest.fail("done before")))


def test_a_stage_that_others_rest_on_refuses_other_settings(tmp_path):
    Stages(tmp_path).run(stage("collect", {"collect.demos": 6}))
    with pytest.raises(ConfigError, match=r"collect\.demos=6 \(now 8\).*run_dir"):
        Stages(tmp_path).run(stage("collect", {"collect.demos": 8}))


def test_more_steps_go_on_and_fewer_are_refused(tmp_path):
    ran = []
    for steps in (3000, 3000, 5000):
        Stages(tmp_path).run(
            stage("fine-tune", {"utd": 4}, lambda steps=steps: ran.append(steps), grows={"steps": steps})
        )
    assert ran == [3000, 5000]
    with pytest.raises(ConfigError, match=r"steps=5000 \(now 4000\)"):
        Stages(tmp_path).run(stage("fine-tune", {"utd": 4}, grows={"steps": 4000}))
    with pytest.raises(ConfigError, match=r"utd=4 \(now 8\)"):
        Stages(tmp_path).run(stage("fine-tune", {"utd": 8}, grows={"steps": 9000}))


def test_what_can_be_done_again_is_done_again_with_other_settings(tmp_path):
    ran = []
    for spread in ("wide", "narrow", "narrow"):
        Stages(tmp_path).run(
            stage("evaluate", {"spread": spread}, lambda spread=spread: ran.append(spread), again=True)
        )
    assert ran == ["wide", "narrow"]


def test_a_stage_that_failed_is_not_done(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Stages(tmp_path).run(stage("one", {}, lambda: 1 / 0))
    assert Stages(tmp_path).seconds == {}


def test_chosen_settings_are_flat_and_plain():
    config = OmegaConf.create({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": "x", "f": 0})
    assert chosen(config, "a", "e") == {"a.b": 1, "a.c.d": [1, 2], "e": "x"}


def composed(tmp_path, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("demo", overrides=["workers=1", "profile=tiny", f"run_dir={tmp_path}", *overrides])


def done_with(tmp_path, *overrides):
    """A run folder in which every stage was done with these settings, by stages that do nothing."""
    stages = Stages(tmp_path)
    for planned in demo.stages_of(composed(tmp_path, *overrides), []):
        stages.run(Stage(planned.name, lambda: None, planned.settings, planned.grows, planned.again))


@pytest.mark.parametrize(
    "changed",
    [
        "method.utd=16", "finetune.warmup_steps=50", "agent.online.anchor_weight=0", "agent.gamma=0.9",
        "robot.help_after=99", "collect.noise=0.9", "robot.spread=narrow", "agent.offline.bc_weight=2",
        "+agent.critic_lr=1e-4", "reward.frames=9", "task.max_steps=80", "agent.n_step=3", "pretrain.held_out=0.1",
        "finetune.steps=150", "method.person_weight=2", "reward.false_positive_rate=0.05",
        "agent.online.start_spread=1", "agent.actor_average=0", "pretrain.shrink_places=false",
    ],
)  # fmt: skip
def test_a_demo_refuses_changed_settings_and_leaves_the_recorded_ones(tmp_path, monkeypatch, changed):
    done_with(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    overrides = SimpleNamespace(overrides=SimpleNamespace(task=[]))
    monkeypatch.setattr(demo.HydraConfig, "get", staticmethod(lambda: overrides))
    name = changed.split("=")[0].lstrip("+").replace(".", r"\.")
    with pytest.raises(ConfigError, match=rf"{name}=.*\(now "):
        demo.run(composed(tmp_path, changed))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_of_before_the_spread_was_halved_goes_on_with_the_whole_one(tmp_path, run_demo):
    whole = "agent.online.start_spread=1"
    done_with(tmp_path, whole)
    path = tmp_path / "stages.json"
    done = json.loads(path.read_text())
    settings = done["fine-tune (regrasp)"]["settings"]
    assert [settings.pop(f"agent.{phase}.start_spread") for phase in ("warmup", "online")] == [1, 1]
    path.write_text(json.dumps(done))
    assert all(Stages(tmp_path).check(planned) for planned in demo.stages_of(composed(tmp_path, whole), []))
    with pytest.raises(ConfigError, match=r"agent\.online\.start_spread=1\.0 \(now 0\.5\)"):
        run_demo()


@pytest.mark.parametrize(
    ("encoder", "goes_on_with"), [("keypoints", "pretrain.shrink_places=false"), ("cnn", "pretrain.shrink_places=true")]
)
def test_a_run_of_before_places_were_shrunk_goes_on_with_what_was_seen(tmp_path, encoder, goes_on_with):
    """Keypoints alone have places; what an image encoder saw is as it was."""
    given = f"encoder={encoder}"
    done_with(tmp_path, given, goes_on_with)
    path = tmp_path / "stages.json"
    done = json.loads(path.read_text())
    done["pretrain"]["settings"].pop("pretrain.shrink_places", None)
    path.write_text(json.dumps(done))
    planned = {stage.name: stage for stage in demo.stages_of(composed(tmp_path, given, goes_on_with), [])}
    assert Stages(tmp_path).check(planned["pretrain"])
    now = {stage.name: stage for stage in demo.stages_of(composed(tmp_path, given), [])}
    if encoder == "cnn":
        assert Stages(tmp_path).check(now["pretrain"])
    else:
        with pytest.raises(ConfigError, match=r"pretrain\.shrink_places=False \(now True\)"):
            Stages(tmp_path).check(now["pretrain"])


@pytest.mark.parametrize("written", [True, False])
def test_what_sessions_set_down_elsewhere_belongs_to_fine_tuning_alone(tmp_path, written):
    """Also in runs of before that could be set; those of now hold what was asked for against their own conditions."""
    done_with(tmp_path, *["task.displace=0.2"] * written)
    done = json.loads((tmp_path / "stages.json").read_text())
    noting = [name for name in done if "task.displace" in done[name]["settings"]]
    assert noting == ["fine-tune (regrasp)"] * written
    for given, same in (("task.displace=0", True), ("task.displace=auto", True), ("task.displace=0.3", False)):
        for stage in demo.stages_of(composed(tmp_path, given), []):
            if same or stage.name != "fine-tune (regrasp)":
                assert Stages(tmp_path).check(stage)
            else:
                with pytest.raises(ConfigError, match=r"task\.displace=(0\.2|auto) \(now 0\.3\)"):
                    Stages(tmp_path).check(stage)


@pytest.mark.parametrize("judge", ["vice", "goal_pictures"])
@pytest.mark.parametrize("earlier", [False, True])
def test_another_judge_in_a_finished_run_is_refused(tmp_path, run_demo, judge, earlier):
    done_with(tmp_path)
    path = tmp_path / "stages.json"
    if earlier:  # of a version that wrote down no kind for the classifier
        done = json.loads(path.read_text())
        assert [done[name]["settings"].pop("reward.kind") for name in ("train reward", "fine-tune (regrasp)")]
        path.write_text(json.dumps(done))
        assert all(Stages(tmp_path).check(planned) for planned in demo.stages_of(composed(tmp_path), []))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=rf"'train reward' .*reward\.kind=classifier \(now {judge}\).*run_dir"):
        run_demo(f"reward={judge}")
    assert {one.name for one in tmp_path.iterdir()} == {"stages.json"}
    assert path.read_bytes() == before


@pytest.fixture
def run_demo(tmp_path, monkeypatch):
    """Runs the verb with these settings, up to what is too slow for a test."""
    overrides = SimpleNamespace(overrides=SimpleNamespace(task=[]))
    monkeypatch.setattr(demo.HydraConfig, "get", staticmethod(lambda: overrides))
    monkeypatch.setattr(demo, "require_readable_task", lambda config: pytest.fail("nothing is loaded before a refusal"))
    return lambda *changes: demo.run(composed(tmp_path, *changes))


def test_a_refusal_comes_before_anything_slow_and_names_the_profile_of_the_run(tmp_path, run_demo):
    done_with(tmp_path)
    demo.settings_file(composed(tmp_path)).write_text(OmegaConf.to_yaml(composed(tmp_path), resolve=True))
    with pytest.raises(ConfigError, match=r"demos=3 \(now 4\).* same settings \(the run has profile=tiny\), or"):
        run_demo("method=rlpd", "profile=quick")
    with pytest.raises(ConfigError, match=r"Give the same settings, or"):
        run_demo("collect.demos=9")
    demo.settings_file(composed(tmp_path)).write_text("profile: [")
    with pytest.raises(ConfigError, match=r"Give the same settings, or"):
        run_demo("profile=quick")


def test_a_second_demo_and_a_demo_beside_fine_tuning_are_refused(tmp_path, run_demo):
    for folder in (tmp_path, finetune_folder(composed(tmp_path))):
        words = rf"already runs in {folder} \(process {os.getpid()}\)"
        with only_writer(folder), pytest.raises(ConfigError, match=words):
            run_demo()
    assert not demo.settings_file(composed(tmp_path)).exists()


@pytest.mark.parametrize(
    "changed",
    ["workers=2", "progress=false", "agent.compile=false", "pretrain.checkpoint_every=7", "replay.device=cpu",
     "finetune.snapshot_every=40", "link.address=127.0.0.1:1", "reward.allow_download=true"],
)  # fmt: skip
def test_where_and_how_fast_is_no_condition(tmp_path, changed):
    done_with(tmp_path)
    stages = Stages(tmp_path)
    assert all(stages.check(planned) for planned in demo.stages_of(composed(tmp_path, changed), []))


def test_the_stages_are_kept_with_their_digest(tmp_path):
    done_with(tmp_path)
    done = json.loads((tmp_path / "stages.json").read_text())
    assert len({entry["digest"] for entry in done.values()}) == len(done) == 7
    assert done["fine-tune (regrasp)"]["settings"]["method.utd"] == 4


def test_each_method_has_a_settings_file_of_its_own(tmp_path):
    names = [demo.settings_file(composed(tmp_path, *method)).name for method in ([], ["method=rlpd"])]
    assert names == ["settings.yaml", "settings_rlpd.yaml"]


@pytest.mark.parametrize(("workers", "spare"), [(1, 0), (2, 0), (3, 1), (16, 14)])
def test_what_is_evaluated_beside_fine_tuning_is_asked_for_after_it(tmp_path, workers, spare):
    config = composed(tmp_path, f"workers={workers}")
    names = [planned.name.split()[0] + planned.name.split()[1] for planned in demo.stages_of(config, [])[4:]]
    assert spare_workers(config) == spare
    order = ["evaluatebefore", "fine-tune(regrasp)"]
    assert names == [*(reversed(order) if spare else order), "evaluateafter"]
