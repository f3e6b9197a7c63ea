"""The stores that `data` names: opened, aligned, noted beside the policy, or refused with what to give."""

from contextlib import ExitStack
from dataclasses import replace

import pytest
from helpers.s3_server import KEY, SECRET
from helpers.trajectory_samples import sample_episode
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from factory.data import ROBOT_FILE, open_data
from factory.reward_episodes import seen_by
from factory.sources import (
    SOURCES_FILE,
    NamedStores,
    kept_sources,
    note_sources,
    open_sources,
    require_sources,
    shares_of,
    sources_in_words,
)
from factory.spec import spec_of
from trajectories.alignment import AlignedStore, missing_of
from trajectories.errors import CheckpointError, ConfigError, SpecMismatchError
from trajectories.s3.path import CopySettings, S3Path
from trajectories.s3.upload import upload
from trajectories.store import TrajectoryStore

OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)


def settings(run, *overrides, verb="pretrain"):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=["robot.image_size=64", f"run_dir={run}", *overrides])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run's own store, and another robot's of two cameras and less proprioception."""
    folder = tmp_path_factory.mktemp("made")
    config = settings(folder / "run", verb="collect")
    spec = spec_of(config)
    with open_data(config, read_only=False) as store:
        store.commit(sample_episode(1, spec=spec))
    other = replace(spec, cameras={"over": (40, 60), "wrist": (64, 64)}, proprio=spec.proprio[:-1])
    with TrajectoryStore(folder / "bridge", other) as store:
        store.commit(sample_episode(2, spec=other))
    with TrajectoryStore(folder / "fast", replace(spec, control_hz=10.0)):
        pass
    return folder


def test_without_data_it_is_the_runs_own(made):
    with ExitStack() as stack:
        stores = open_sources(settings(made / "run"), stack)
        assert [store.path for store in stores] == [made / "run" / "data"]
        assert isinstance(stores[0], TrajectoryStore)
        assert shares_of(settings(made / "run")) is None


def test_other_robots_stores_are_aligned_to_the_first(made):
    config = settings(
        made / "elsewhere",
        f"data=[{made}/run/data,{made}/bridge]",
        "data_roles=[{},{front:over}]",
        "data_shares=[0.7,0.3]",
    )
    with ExitStack() as stack:
        own, other = open_sources(config, stack)
        assert isinstance(other, AlignedStore)
        assert other.read(other.ids()[0]).images["front"].shape[1:] == (64, 64, 3)
        assert "bridge: 1 episodes, without target_yaw (masked)" in sources_in_words([own, other])
        assert shares_of(config) == (0.7, 0.3)
    note_sources(config, made / "policy")
    with ExitStack() as stack:
        again = kept_sources(settings(made / "elsewhere", verb="learner"), made / "policy", stack)
        assert [store.path for store in again] == [made / "run" / "data", made / "bridge"]
        assert missing_of(again[1]).cameras == ()
    note_sources(settings(made / "run"), made / "policy")
    assert not (made / "policy" / SOURCES_FILE).exists()
    with ExitStack() as stack:
        assert [s.path for s in kept_sources(settings(made / "run"), made / "policy", stack)] == [made / "run" / "data"]


def test_stores_in_buckets_are_named_and_noted_by_their_address_and_nothing_else(made, s3, tmp_path):
    address, copies = S3Path.of(f"s3://lab/{tmp_path.name}/own"), f"s3_copies.folder={tmp_path}/copies"
    with TrajectoryStore(made / "run" / "data", read_only=True) as store:
        upload(store, store.ids(), address, (ROBOT_FILE,))
    config = settings(made / "elsewhere", f"data=[{address},{made}/bridge]", copies, "s3_copies.gigabytes=0.5")
    with ExitStack() as stack:
        own, other = open_sources(config, stack)
        assert [own.path, other.path] == [address, made / "bridge"]
        assert own.path.copies == CopySettings(tmp_path / "copies", 500_000_000)
        assert own.read(own.ids()[0]).task == "pot_pick_place"
        assert f"{address}: 1 episodes" in sources_in_words([own, other])
    assert len(list((tmp_path / "copies" / "episodes").iterdir())) == 1
    note_sources(config, tmp_path / "policy")
    noted = (tmp_path / "policy" / SOURCES_FILE).read_text()
    assert f'"{address}"' in noted
    assert not any(secret in noted for secret in (KEY, SECRET, s3.url))
    with ExitStack() as stack:
        again = kept_sources(settings(made / "elsewhere", copies, verb="learner"), tmp_path / "policy", stack)
        assert [store.path for store in again] == [address, made / "bridge"]
    with pytest.raises(ConfigError, match="robot = 'twin', the settings ask for 'virtual'"):
        require_sources(settings(made / "elsewhere", f"data={address}", "robot=virtual"))
    with pytest.raises(ConfigError, match=r"s3_copies\.gigabytes is -1, expected 0 or more"):
        open_sources(settings(made / "elsewhere", f"data={address}", "s3_copies.gigabytes=-1"), stack)


@pytest.mark.parametrize(
    ("overrides", "error", "match"),
    [
        (["data=3"], ConfigError, "data=3 is no list of folders"),
        (["data=[]"], ConfigError, "is no list of folders"),
        (["data_shares=[0.5,0.5]"], ConfigError, "belong to the stores of data"),
        (["data=[RUN,BRIDGE]", "data_roles=[{},{},{}]"], ConfigError, "no roles of 2 stores"),
        (["data=[RUN,BRIDGE]", "data_roles=front"], ConfigError, "no roles of 2 stores"),
        (["data=[RUN,BRIDGE]", "data_roles=[{},{front:nowhere}]"], ConfigError, "name nowhere"),
        (["data=[RUN,FAST]"], SpecMismatchError, "10 control steps a second.*regrasp import"),
        (["data=[RUN,RUN]"], ConfigError, "have no episode in common"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_give(made, overrides, error, match):
    places = {"RUN": f"{made}/run/data", "BRIDGE": f"{made}/bridge", "FAST": f"{made}/fast"}
    for name, path in places.items():
        overrides = [text.replace(name, path) for text in overrides]
    with ExitStack() as stack, pytest.raises(error, match=match):
        open_sources(settings(made / "elsewhere", *overrides), stack)


def test_the_first_store_is_of_the_settings_robot_and_shares_are_numbers(made):
    config = settings(made / "elsewhere", f"data={made}/run/data", "robot=virtual")
    with pytest.raises(ConfigError, match=r"robot = 'twin'.*'virtual'"):
        require_sources(config)
    assert NamedStores.of(config).paths == (made / "run" / "data",)
    with pytest.raises(ConfigError, match="no list of numbers"):
        shares_of(settings(made / "elsewhere", f"data=[{made}/bridge]", "data_shares=all"))


def test_another_robots_store_alone_is_aligned_and_what_nothing_has_is_said(made):
    with ExitStack() as stack:
        overrides = [f"data={made}/bridge", "data_roles=[{front:over}]"]
        stores = open_sources(settings(made / "elsewhere", *overrides), stack)
        assert isinstance(stores[0], AlignedStore)
        assert "has target_yaw: the policy will not look at it on the robot either" in sources_in_words(stores)


def test_a_damaged_note_is_named(made):
    (made / "damaged").mkdir()
    (made / "damaged" / SOURCES_FILE).write_text("{")
    with pytest.raises(CheckpointError, match=r"data\.json is damaged"):
        NamedStores.noted(made / "damaged", settings(made / "run"))


def test_the_judge_leaves_out_who_lacks_its_camera(made, capsys):
    with ExitStack() as stack:
        config = settings(made / "elsewhere", f"data=[{made}/run/data,{made}/bridge]", verb="train_reward")
        stores = open_sources(config, stack)
        assert seen_by(stores, ["front"], print) == stores[:1]
        assert "left out, since nothing there has the role of the judge's camera 'front'" in capsys.readouterr().out
        with pytest.raises(ConfigError, match=r"data_roles=\[\{front:image_0\}\]"):
            seen_by(stores[1:], ["front"], print)
