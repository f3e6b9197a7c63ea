"""`regrasp import` and `regrasp export`: out and in again, twice, interrupted, damaged, refused."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers import ROOT
from helpers.doors import SPEC, do_export, do_import, episodes_of, recorded, settings
from helpers.trajectory_samples import assert_same_episode
from omegaconf import OmegaConf

from commands.exporting.exporting import run as run_export
from commands.importing.plan import plan_of
from commands.overrides import words_named
from factory.doors.mapping import mapping_of
from trajectories.errors import ConfigError
from trajectories.formats.foreign import FormatError
from trajectories.formats.hub import Repository
from trajectories.formats.registry import open_source
from trajectories.inspect import inspect_store
from trajectories.provenance import origin_of
from trajectories.recorder import new_episode_id
from trajectories.store import TrajectoryStore

PRESETS = sorted(path.stem for path in (ROOT / "configs/doors").glob("*.yaml"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ours") / "data"
    with TrajectoryStore(path, SPEC) as opened:
        for number in range(5):
            opened.commit(recorded(number, 3 + number))
    return path


@pytest.fixture(scope="module")
def exported(store, tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("theirs") / "pot"
    do_export(store, to, "lossless=true")
    return to


@pytest.mark.parametrize("format", ["lerobot_v3", "lerobot_v2"])
def test_out_and_in_again_is_the_same_bit_by_bit(store, tmp_path, format):
    do_export(store, tmp_path / "pot", "lossless=true", format=format)
    do_import(tmp_path / "pot", tmp_path / "back", "image_size=32")
    back, originals = episodes_of(tmp_path / "back"), episodes_of(store)
    assert len(back) == len(originals)
    for found, original in zip(back, originals, strict=True):
        for name in ("executed", "rewards", "terminated", "truncated", "source", "proprio"):
            np.testing.assert_array_equal(getattr(found, name), getattr(original, name), name)
        np.testing.assert_array_equal(found.images["front"], original.images["front"])
        assert (found.instruction, found.outcome) == (original.instruction, original.outcome)
        assert (found.task, found.direction) == (original.task, original.direction)


@pytest.mark.parametrize(
    ("format", "doors", "key"),
    [("lerobot_v3", "regrasp_lerobot", "observation.images.front_depth"), ("bridge", "bridge", "depth_images0")],
)
def test_depth_goes_out_and_in_bit_by_bit(tmp_path, format, doors, key):
    depth = np.random.default_rng(0).integers(0, 2**16, (4, 32, 32), np.uint16)
    with TrajectoryStore(tmp_path / "deep", replace(SPEC, depth=("front",))) as opened:
        opened.commit(replace(recorded(0, 3), depth={"front": depth}))
    do_export(tmp_path / "deep", tmp_path / "out", format=format)
    given = [f"+doors.cameras.front.depth={key}", "image_size=32", "doors.max_clipped=1.0"]
    do_import(tmp_path / "out", tmp_path / "back", *given, doors=doors)
    (found,) = episodes_of(tmp_path / "back")
    np.testing.assert_array_equal(found.depth["front"], depth)
    with pytest.raises(ConfigError, match=r"has depth of the camera front.*doors\.cameras\.front\.depth"):
        do_import(tmp_path / "out", tmp_path / "back", doors=doors)


DELTAS = (
    "doors.action.form=delta",
    "doors.action.position={key: actions, entries: [0, 1, 2]}",
    "doors.action.rotation={key: actions, entries: [3, 4, 5], form: rpy}",
)


def test_bridge_data_out_and_in_again_has_the_same_poses_actions_and_outcomes(store, tmp_path):
    """Pictures are JPEG files there. The recorded actions come back as deltas; the preset relabels them."""
    do_export(store, tmp_path / "pot", format="bridge")
    do_import(tmp_path / "pot", tmp_path / "back", "image_size=32", *DELTAS, doors="bridge")
    originals = list(episodes_of(store))
    assert {episode.outcome for episode in originals} >= {"success", "failure"}
    for found, original in zip(episodes_of(tmp_path / "back"), originals, strict=True):
        assert found.outcome == original.outcome
        np.testing.assert_allclose(found.executed, original.executed, atol=1e-6)
        np.testing.assert_allclose(found.proprio[:, :7], original.proprio[:, :7], atol=1e-6)
        assert found.instruction == original.instruction
        difference = np.abs(found.images["front"].astype(int) - original.images["front"].astype(int))
        assert difference.mean() < 3


@pytest.mark.parametrize(
    ("format", "keys"),
    [
        (
            "robomimic",
            {"obs/robot0_eef_pos", "obs/robot0_eef_quat", "obs/robot0_gripper_qpos", "obs/proprio", "actions"},
        ),
        ("minari", {"observations/proprio", "actions", "rewards", "terminations", "truncations"}),
        ("diffusion_policy", {"state", "robot_eef_pose", "action"}),
    ],
)
def test_the_other_formats_are_written_and_read(store, tmp_path, format, keys):
    place = tmp_path / {"robomimic": "pot.hdf5", "minari": "pot-v0", "diffusion_policy": "pot.zarr"}[format]
    do_export(store, place, "lossless=true", format=format)
    source = open_source(place)
    assert (source.describe().format, len(source.names())) == (format, 5)
    for name, original in zip(source.names(), episodes_of(store), strict=True):
        found = source.read(name)
        assert keys <= set(found.columns)
        actions = found.columns["action" if format == "diffusion_policy" else "actions"]
        np.testing.assert_array_equal(actions, original.executed)
        (frames,) = found.images.values()
        np.testing.assert_array_equal(frames.read(), original.images["front"][: frames.shape[0]])


def test_import_into_a_store_that_is_there_keeps_its_specification(store, exported, tmp_path):
    into = tmp_path / "both"
    with TrajectoryStore(into, SPEC) as opened:
        opened.commit(recorded(9, 4))
    do_import(exported, into)
    assert len(episodes_of(into)) == 6
    with TrajectoryStore(into, read_only=True) as opened:
        assert opened.spec == SPEC


def test_the_same_import_twice_adds_nothing_and_an_interrupted_one_goes_on(exported, tmp_path, capsys):
    into = tmp_path / "back"
    do_import(exported, into, "episodes=2")
    assert len(episodes_of(into)) == 2
    do_import(exported, into)
    assert "3 episodes imported, 2 were there already" in capsys.readouterr().out
    before = [episode.id for episode in episodes_of(into)]
    do_import(exported, into)
    assert [episode.id for episode in episodes_of(into)] == before


def test_where_an_episode_comes_from_is_recorded_and_shown(exported, tmp_path):
    do_import(exported, tmp_path / "back", "episodes=2", "name=the_lab")
    origins = [origin_of(episode) for episode in episodes_of(tmp_path / "back")]
    assert [(o["source"], o["episode"]) for o in origins] == [("the_lab", f"episode_00000{i}") for i in range(2)]
    assert origins[0]["format"] == "lerobot_v3 v3.0"
    report = inspect_store(tmp_path / "back", tmp_path / "inspection")
    assert "Imported: 2 episodes from the_lab (lerobot_v3 v3.0, robot wx250s, 5.0 frames per second)" in report


def test_another_data_set_of_the_same_name_is_refused(store, exported, tmp_path):
    do_import(exported, tmp_path / "back", "name=lab")
    do_export(store, tmp_path / "other", "outcomes=[failure]")
    with pytest.raises(ConfigError, match=r"it isn't this one.*name="):
        do_import(tmp_path / "other", tmp_path / "back", "name=lab")


def test_another_mapping_than_before_is_refused(exported, tmp_path):
    do_import(exported, tmp_path / "back", "episodes=1")
    with pytest.raises(ConfigError, match=r"action\.position_scale = 0\.05.*ask for 0\.04"):
        do_import(exported, tmp_path / "back", "doors.action.position_scale=0.04")


def test_a_damaged_episode_is_named_left_out_and_said_by_the_status(store, tmp_path, capsys):
    do_export(store, tmp_path / "pot", format="lerobot_v2")
    video = sorted((tmp_path / "pot").rglob("*.mp4"))[1]
    video.write_bytes(video.read_bytes()[:300])
    with pytest.raises(SystemExit) as stopped:
        do_import(tmp_path / "pot", tmp_path / "back")
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "4 episodes imported" in said
    assert "1 left out, DAMAGED:\n  episode_000001: " in said
    assert len(episodes_of(tmp_path / "back")) == 4


def test_a_dry_run_shows_and_stores_nothing(exported, tmp_path, capsys):
    out = tmp_path / "pictures"
    do_import(exported, tmp_path / "back", "dry_run=true", f"out={out}", "doors.max_clipped=0.0")
    said = capsys.readouterr().out
    assert "Would be imported: 5 episodes, 25 steps" in said
    assert "Would be left out: 0." in said
    assert "observation.images.front: uint8 (32, 32, 3)  camera, used" in said
    assert sorted(path.name for path in out.iterdir()) == ["pot.png", "pot_histograms.png"]
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["doors=none"], r"doors\.cameras is empty"),
        (["doors=lerobot_viperx"], r"doors\.tip\.joints\.units isn't set"),
        (["doors=lerobot_so101"], r"no colour camera|has no entry 'ee.x'"),
        (["doors=bridge"], "no colour camera 'images0'.*observation.images.front"),
        (["~doors.success.attribute", "doors.success.otherwise=null"], r"doors\.success\.otherwise=success"),
        (["doors.tip.position.key=nowhere"], r"no column 'nowhere': set doors\.tip\.position\.key"),
        (["doors.action.position.entries=[x,y]"], r"takes 2 numbers.*named x, y, z, roll"),
        (["doors.arm=null", "~doors.proprio.gripper_width"], None),
        (["doors.arm=panda"], "no arm 'panda'"),
        (["doors.tip.joints={key: observation.state, units: radians}", "doors.arm=null"], r"set doors\.arm"),
    ],
)
def test_what_isnt_said_is_refused_with_the_key_to_set(exported, tmp_path, overrides, match):
    chosen = [one for one in overrides if one.startswith("doors=")]
    others = [one for one in overrides if one not in chosen]
    doors = chosen[0].removeprefix("doors=") if chosen else "regrasp_lerobot"
    if match is None:
        do_import(exported, tmp_path / "back", *others, doors=doors)
        with TrajectoryStore(tmp_path / "back", read_only=True) as opened:
            assert "gripper_width" not in opened.spec.proprio
        return
    with pytest.raises(ConfigError, match=match):
        do_import(exported, tmp_path / "back", *others, doors=doors)
    assert not (tmp_path / "back").exists()
    do_import(exported, tmp_path / "back", "episodes=1")


def test_a_store_that_wants_more_than_the_mapping_gives_is_refused(exported, tmp_path):
    with TrajectoryStore(tmp_path / "into", SPEC):
        pass
    with pytest.raises(ConfigError, match=r"gripper_effort in its proprioception.*doors\.proprio\.gripper_effort"):
        do_import(exported, tmp_path / "into", "~doors.proprio.gripper_effort")
    do_import(exported, tmp_path / "into", "doors.proprio.gripper_effort=0.0")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_mapping_or_says_what_it_lacks(name):
    text = (ROOT / "configs/doors" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    raw = OmegaConf.to_container(settings("import", f"doors={name}").doors)
    if name in ("none", "lerobot_viperx", "lerobot_widowx"):
        with pytest.raises(ConfigError, match=r"doors\.(cameras is empty|tip\.joints\.units isn't set)"):
            mapping_of(raw)
        for part in (raw["tip"], raw["action"]):
            part["joints"] = {"key": "a", "units": "degrees"}
        raw["cameras"] = {"front": {"key": "a"}}
        raw["action"]["gripper"] = {"key": "a", "open": 1, "closed": 0}
        raw["action"]["form"], raw["arm"] = "joints", "wx250s"
    mapping = mapping_of(raw)
    assert yaml.safe_load(yaml.safe_dump(OmegaConf.to_container(OmegaConf.create(mapping.conditions()))))


def test_a_mapping_of_ones_own_is_found(exported, tmp_path):
    (tmp_path / "doors").mkdir()
    own = "defaults: [regrasp_lerobot, _self_]\ntask: sponge\n"
    (tmp_path / "doors/mine.yaml").write_text(own)
    command = ["import", str(exported), f"into={tmp_path / 'back'}", "doors=mine", f"--config-dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "commands", *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {episode.task for episode in episodes_of(tmp_path / "back")} == {"sponge"}


def test_words_are_sources():
    assert words_named("source", ["a b", "into=x", 'c"d', "--config-dir", "e"]) == [
        'source=["a b","c\\"d"]', "into=x", "--config-dir", "e",
    ]  # fmt: skip
    assert words_named("", ["a", "b=1"]) == ["a", "b=1"]
    with pytest.raises(ConfigError, match="in one of the two ways"):
        words_named("source", ["a", "source=[b]"])


def test_plans_that_say_too_little_are_refused(exported):
    for overrides, match in (
        (["into=x"], "file or folder"),
        ([f"source=[{exported}]"], "into=FOLDER"),
        ([f"source=[{exported},{exported}]", "into=x"], "one after the other"),
    ):
        with pytest.raises(ConfigError, match=match):
            plan_of(settings("import", "doors=regrasp_lerobot", *overrides))
    with pytest.raises(FormatError, match="There is nothing at"):
        plan_of(settings("import", "doors=regrasp_lerobot", "source=[/nowhere]", "into=x"))


def test_the_hub_is_named_where_there_is_no_network(monkeypatch):
    assert Repository.of("hub:lab/pots@v1") == Repository("lab/pots", "v1")
    with pytest.raises(ConfigError, match="expected hub:OWNER/NAME"):
        Repository.of("hub:pots")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FormatError, match=r"can't be had from the hub.*copy its folder"):
        Repository("lab/pots").fetch()


def test_exports_choose_and_refuse(store, tmp_path):
    do_export(store, tmp_path / "good", "outcomes=[success]", "episodes=2")
    assert len(list((tmp_path / "good").rglob("*.parquet"))) == 3
    for overrides, match in (
        (["outcomes=[maybe]"], "there are success, failure, unknown"),
        (["outcomes=[unknown]"], "No episode"),
    ):
        with pytest.raises(ConfigError, match=match):
            do_export(store, tmp_path / "none", *overrides)
    with pytest.raises(FormatError, match="nothing is overwritten"):
        do_export(store, tmp_path / "good")
    with pytest.raises(ConfigError, match="Say where to"):
        run_export(settings("export", f"store={store}"))


def test_looks_back_are_left_out_unless_wanted(store, tmp_path):
    with TrajectoryStore(tmp_path / "more", SPEC) as opened:
        opened.commit(recorded(0, 3))
        opened.commit(replace(recorded(2, 3), id=new_episode_id(), metadata={"kind": "aftermath"}))
    for wanted, count in (("true", 1), ("false", 2)):
        do_export(tmp_path / "more", tmp_path / wanted, f"attempts={wanted}", "lossless=true")
        do_import(tmp_path / wanted, tmp_path / f"back_{wanted}")
        assert len(episodes_of(tmp_path / f"back_{wanted}")) == count


def test_several_workers_import_the_same_in_the_same_order(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("commands.importing.conversion.EPISODES_A_WORKER", 1)
    shutil.copytree(exported, tmp_path / "pot")
    table = sorted((tmp_path / "pot").rglob("data/**/*.parquet"))[0]
    rows = pq.read_table(table)
    states = np.stack(rows["observation.state"].to_pylist()).astype(np.float32)
    states[4] = np.nan  # the second episode: the first has four rows
    place = rows.schema.get_field_index("observation.state")
    column = pa.array(states.tolist(), rows.schema.field(place).type)
    pq.write_table(rows.set_column(place, "observation.state", column), table)
    found = []
    for workers in (1, 2):
        with pytest.raises(SystemExit):
            do_import(tmp_path / "pot", tmp_path / f"by_{workers}", f"workers={workers}")
        assert "4 episodes imported.\npot: 1 left out, DAMAGED:\n  episode_000001: " in capsys.readouterr().out
        found.append(episodes_of(tmp_path / f"by_{workers}"))
    for one, other in zip(*found, strict=True):
        assert origin_of(one) == origin_of(other)
        assert_same_episode(replace(one, id=other.id), other)
