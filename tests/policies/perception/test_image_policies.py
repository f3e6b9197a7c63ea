"""The whole way of a policy with an image encoder: pre-trained folder, replay, publication, snapshots, resume."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, demos, fake_text, record
from helpers.small_policies import RED_WORDINGS, SMALL_CNN

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent
from policies.common.tensor_file import digest, write_tensors
from policies.learner.learner import Learner
from policies.learner.learner_config import LearnerConfig
from policies.learner.offline_data import offline_data
from policies.learner.pretrain import AGENT_FILE, pretrain, save_pretrained
from policies.learner.run_folder import CONDITIONS
from policies.perception.common import FILE
from policies.perception.encoders.config import ClipConfig, EncoderConfig
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.loading import load_perception
from policies.perception.making import new_image_perception
from policies.perception.text_table import TextTable
from policies.policy import LearnedPolicy, load_policy
from policies.replay.dataset import read_all
from policies.replay.replay_memory import slot_bytes
from robot.link.codec import make_weights
from trajectories.errors import CheckpointError, ConfigError, SpecMismatchError
from trajectories.store import TrajectoryStore
from trajectories.types import Observation, RobotSpec, Source

CONFIG = LearnerConfig(
    steps=200, warmup_steps=40, utd=2, batch=32, max_lag=40,
    publish_every=5, checkpoint_every=10, snapshot_every=50, log_every=5,
)  # fmt: skip
TRAINED = replace(CONFIG, freeze_encoder=False)


@pytest.fixture
def make(open_learner, pretrained_on_images):
    return partial(open_learner, config=CONFIG, folder=pretrained_on_images)


def online(count, seed):
    """Random episodes of 20 steps."""
    episodes = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        act = lambda _, rng=rng: rng.uniform(-1, 1, 7)  # noqa: E731
        episodes.append(record(world, act, steps=20, source=Source.POLICY, outcome="failure"))
    return episodes


def observe(seed=0):
    return BlobWorld(np.random.default_rng(seed)).reset()


def put(learner, episodes):
    for episode in episodes:
        learner.put_episode(episode)
    learner.train()


def published(agent):
    return make_weights(7, {name: tensor.numpy() for name, tensor in agent.actor_weights().items()})


def expected_action(agent, perception, observation):
    """What the agent itself does, through the encoder that it has now."""
    state = torch.from_numpy(perception.state(observation))[None]
    row = perception.instruction(observation.instruction)
    return agent.act(state, agent.table[row : row + 1], deterministic=True)[0].numpy()


# -- pre-training ----------------------------------------------------------------------------------------------


def test_the_folder_says_what_it_looks_through_and_holds_the_trained_encoder(pretrained_on_images):
    about = json.loads((pretrained_on_images / "pretraining.json").read_text())
    assert about["encoder"] == "cnn"
    assert about["encoder_errors"] == {}
    assert "images of front" in about["observations"]
    policy = load_policy(pretrained_on_images, SPEC)
    fresh = new_image_perception(demos(1, seed=0), policy.perception.text, SPEC, SMALL_CNN, 3)
    initial, trained = fresh.encoder.trained_tensors(), policy.perception.encoder.trained_tensors()
    assert not any(torch.equal(initial[name], trained[name]) for name in trained if name.endswith("weight"))
    twin = new_image_perception(demos(1, seed=0), policy.perception.text, SPEC, SMALL_CNN, 3)
    agent = load_agent(pretrained_on_images / AGENT_FILE, SPEC, encoder=twin.encoder).agent
    assert agent.critic_updates == 10
    np.testing.assert_allclose(
        policy.act(observe(), True), expected_action(agent, load_perception(pretrained_on_images), observe()), atol=1e-5
    )


def test_offline_replay_keeps_bytes_of_images(pretrained_on_images, demo_store, small_pretraining):
    perception = load_perception(pretrained_on_images)
    store = TrajectoryStore(demo_store, read_only=True)
    data = offline_data(read_all([store]), "red_disc", perception, small_pretraining, seed=0)
    batch = data.mixed(0.5).sample(8)
    assert batch.observation["image/front"].dtype == torch.uint8
    assert batch.observation["image/front"].shape == (8, 64, 64, 3)
    assert batch.observation["proprio"].abs().max() <= 5.0


@pytest.mark.parametrize("kept", [True, False])
def test_cal_ql_leaves_an_encoder_as_cloning_trained_it_unless_the_critics_shall(
    tmp_path, demo_store, small_pretraining, kept
):
    config = replace(small_pretraining, clone_steps=4, steps=0, encoder=SMALL_CNN, batch=16, freeze_encoder=kept)
    store = TrajectoryStore(demo_store, read_only=True)

    def trained(steps):
        whole = replace(config, steps=steps)
        pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", whole, tmp_path / f"{steps}", seed=3)
        return load_policy(tmp_path / f"{steps}", SPEC)

    cloned, after = trained(0), trained(4)
    weights = [policy.perception.encoder.trained_tensors() for policy in (cloned, after)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0]) == kept
    assert not np.array_equal(cloned.act(observe(), True), after.act(observe(), True))
    assert (after.perception.trained is None) == kept
    assert cloned.perception.trained is not None  # cloning may go on, with more steps


def test_an_encoder_that_is_frozen_goes_online_as_features(
    tmp_path, make, pretrained_on_images, demo_store, small_pretraining
):
    config = replace(small_pretraining, clone_steps=4, steps=4, encoder=SMALL_CNN, batch=16)
    store = TrajectoryStore(demo_store, read_only=True)
    folder = tmp_path / "policy"
    pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, folder, seed=3)
    learner = make(folder=folder)
    put(learner, online(3, seed=1))
    perception = load_perception(folder)
    assert perception.fields == {"state": ((perception.size,), torch.float32)}
    action = load_policy(folder, SPEC).act(observe(), True)
    assert np.isfinite(action).all()
    assert learner.trainer.agent.encoder is None
    with pytest.raises(
        ConfigError, match=r"freeze_encoder=false, but the critics don't train.*pretrain\.freeze_encoder"
    ):
        Learner(tmp_path / "other", folder, SPEC, TRAINED)


def test_a_policy_behind_a_clip_tower_is_pretrained_and_loaded(tmp_path, small_pretraining):
    store = TrajectoryStore(tmp_path / "store", SPEC)
    for episode in demos(3, seed=2):
        store.commit(episode)
    config = replace(
        small_pretraining, clone_steps=2, steps=2, batch=16, encoder=EncoderConfig(ClipConfig(width=4), width=8),
        freeze_encoder=False,
    )  # fmt: skip
    about = pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, tmp_path / "policy", seed=3)
    assert about["encoder"] == "clip"
    perception = load_perception(tmp_path / "policy", SPEC)
    assert perception.fields["tower/front"][1] == torch.float16
    assert (tmp_path / "policy" / FILE).stat().st_size < 1_000_000  # the tower is named, not copied
    with Learner(tmp_path / "run", tmp_path / "policy", SPEC, TRAINED).store:
        policy = load_policy(tmp_path / "policy", SPEC)
        assert np.isfinite(policy.act(observe())).all()


def test_a_clip_tower_may_be_all_there_is_and_a_random_network_may_not(tmp_path, small_pretraining):
    store = TrajectoryStore(tmp_path / "store", SPEC)
    for episode in demos(2, seed=2):
        store.commit(episode)
    blind = replace(SMALL_CNN, frozen=True)
    text = TextTable.build({e.instruction for e in demos(2, seed=2)}, fake_text, "fake")
    with pytest.raises(ConfigError, match="frozen=true would leave"):
        new_image_perception(demos(1, seed=0), text, SPEC, blind, 0)
    with pytest.raises(ConfigError, match="no episode"):
        new_image_perception([], text, SPEC, SMALL_CNN, 0)
    with pytest.raises(ConfigError, match=r"encoder.cameras names \['wrist'\]; the robot has front"):
        new_image_perception(demos(1, seed=0), text, SPEC, replace(SMALL_CNN, cameras=("wrist",)), 0)
    frozen = EncoderConfig(ClipConfig(stage=None), instruction="none", width=0, proprio_width=0, frozen=True)
    config = replace(small_pretraining, clone_steps=2, steps=1, batch=16, encoder=frozen)
    pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, tmp_path / "policy", seed=3)
    assert load_perception(tmp_path / "policy").fields.keys() == {"state"}
    with pytest.raises(ConfigError, match="critics don't train what"):
        Learner(tmp_path / "run", tmp_path / "policy", SPEC, TRAINED)
    with Learner(tmp_path / "run", tmp_path / "policy", SPEC, CONFIG).store:
        pass


# -- perception ------------------------------------------------------------------------------------------------


def test_an_episode_is_its_observations(pretrained_on_images):
    perception = load_perception(pretrained_on_images)
    (episode,) = demos(1, seed=4)
    perception.encoder.freeze()
    states = perception.frames(episode)["state"]
    one = Observation({"front": episode.images["front"][3]}, episode.proprio[3], episode.instruction, {})
    assert np.allclose(states[3], perception.state(one), atol=1e-5)
    assert states.shape == (len(episode) + 1, perception.size)


def test_another_robot_is_refused(pretrained_on_images):
    perception = load_perception(pretrained_on_images, SPEC)
    with pytest.raises(SpecMismatchError, match="control_hz"):
        load_perception(pretrained_on_images, replace(SPEC, control_hz=10.0))
    large = RobotSpec(cameras={"front": (96, 96)})
    with pytest.raises(ConfigError, match="cameras and sizes of pre-training"):
        type(perception)(perception.encoder, perception.scaling, perception.text, large)


def test_a_file_of_another_kind_is_named(tmp_path, pretrained, pretrained_on_images):
    assert isinstance(load_perception(pretrained), KeypointPerception)
    assert load_perception(pretrained_on_images).kind == "cnn"
    write_tensors(tmp_path / FILE, "regrasp-other-1", {"x": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"holds 'regrasp-other-1'; expected one of regrasp-features-1"):
        load_perception(tmp_path)


# -- the robot -------------------------------------------------------------------------------------------------


def test_published_weights_bring_the_encoder_and_act_as_the_agent(make, pretrained_on_images, tmp_path):
    learner = make(config=TRAINED)
    put(learner, online(3, seed=5))
    policy = load_policy(pretrained_on_images)
    before, digest_before = policy.act(observe(), True), policy.digest
    weights = learner.weights(0)
    assert any(name.startswith("encoder.branches.0.network") for name in weights.tensors)
    policy.load(weights)
    expected = expected_action(learner.trainer.agent, learner.perception, observe())
    np.testing.assert_allclose(policy.act(observe(), True), expected, atol=1e-5)
    assert not np.allclose(before, expected, atol=1e-4)
    assert policy.digest == digest_before  # what both ends agree on is where they began
    only_actor = {name: a for name, a in weights.tensors.items() if not name.startswith("encoder.")}
    blind = load_policy(pretrained_on_images)
    blind.load(make_weights(1, only_actor))
    assert not np.allclose(blind.act(observe(), True), expected, atol=1e-4)

    policy.save(tmp_path / "saved")
    again = load_policy(tmp_path / "saved")
    assert np.array_equal(again.act(observe(), True), policy.act(observe(), True))
    snapshot = load_policy(tmp_path / "run" / "snapshots" / "step_50", SPEC)
    assert snapshot.digest != digest_before
    assert snapshot.perception.digest != learner.perception.digest


@pytest.mark.parametrize("fault", ["nan", "missing", "shape", "overflow"])
def test_bad_weights_of_the_encoder_are_refused_and_the_old_ones_stay(pretrained_on_images, fault):
    policy = load_policy(pretrained_on_images)
    agent = load_agent(
        pretrained_on_images / AGENT_FILE, SPEC, encoder=load_perception(pretrained_on_images).encoder
    ).agent
    before, seen = policy.act(observe(), True), policy.perception
    tensors = {name: tensor.numpy() for name, tensor in agent.actor_weights().items()}
    name = "encoder.branches.0.network.convolutions.0.weight"
    if fault == "nan":
        tensors[name][0] = np.nan
    elif fault == "missing":
        del tensors[name]
    elif fault == "shape":
        tensors[name] = tensors[name][:-1]
    else:
        tensors[name][:] = 3e38  # finite, and its sums are not
    with pytest.raises(CheckpointError):
        policy.load(make_weights(1, tensors))
    assert policy.version == 0
    assert policy.perception is seen
    assert np.array_equal(policy.act(observe(), True), before)


def test_keypoints_take_no_encoder(pretrained, pretrained_on_images):
    policy = load_policy(pretrained)
    encoder = load_perception(pretrained_on_images).encoder.trained_tensors()
    tensors = {name: tensor.numpy() for name, tensor in policy._actor.state_dict().items()}
    tensors |= {"encoder." + name: tensor.numpy() for name, tensor in encoder.items()}
    with pytest.raises(CheckpointError, match="sees through keypoints"):
        policy.load(make_weights(1, tensors))


def test_a_policy_made_with_an_encoders_tensors_uses_them(pretrained_on_images):
    perception = load_perception(pretrained_on_images)
    agent = load_agent(pretrained_on_images / AGENT_FILE, SPEC, encoder=perception.encoder).agent
    with torch.no_grad():
        perception.encoder.branches[0].projection[1].bias.add_(1.0)
    policy = LearnedPolicy(load_perception(pretrained_on_images), agent.config.networks, agent.actor_weights())
    np.testing.assert_allclose(policy.act(observe(), True), expected_action(agent, perception, observe()), atol=1e-5)


# -- fine-tuning -----------------------------------------------------------------------------------------------


def test_a_frozen_encoder_leaves_features_in_replay_and_an_update_is_one_on_states(make, pretrained_on_images):
    learner = make()
    before = {name: t.clone() for name, t in learner.perception.encoder.trained_tensors().items()}
    episodes = online(3, seed=6)
    for episode in episodes:
        learner.put_episode(episode)
    learner.train(0)
    assert learner.train(1) == 1
    held = learner._kept.replay.gather(torch.arange(20))
    assert held.observation.keys() == {"state"}
    assert torch.equal(held.state, learner.perception.frames(episodes[0])["state"][:20])

    loaded = load_agent(pretrained_on_images / AGENT_FILE, SPEC, encoder=load_perception(pretrained_on_images).encoder)
    tensors, counters = loaded.agent.state()
    without = {name: t for name, t in tensors.items() if not name.startswith(("encoder.", "optimiser.encoder."))}
    plain = Agent(loaded.agent.config, learner.perception.size, 24)
    plain.load_state(without, counters)
    plain.set_phase("online")
    fresh = make("fresh")
    for episode in episodes:
        fresh.put_episode(episode)
    fresh.train(0)
    fresh._take_in()
    plain.update(fresh.trainer.source.sample(64), utd=2)
    assert digest(plain.state()[0]) == digest(learner.trainer.agent.state()[0])
    assert all(torch.equal(before[name], t) for name, t in learner.perception.encoder.trained_tensors().items())
    assert not any(name.startswith("encoder.") for name in learner.trainer.agent.actor_weights())
    assert fresh.hello(SPEC, load_policy(pretrained_on_images).digest) == 0


def test_an_encoder_that_goes_on_learning_leaves_images_in_replay(make):
    learner = make(config=TRAINED)
    before = {name: t.clone() for name, t in learner.perception.encoder.trained_tensors().items()}
    put(learner, online(3, seed=6))
    assert set(learner._kept.replay.gather(torch.arange(4)).observation) == {"image/front", "proprio"}
    now = learner.perception.encoder.trained_tensors()
    assert not any(torch.equal(before[name], now[name]) for name in now if name.endswith("weight"))


@pytest.mark.parametrize("config", [CONFIG, TRAINED])
def test_bytes_bound_the_replay_by_what_it_keeps(make, config):
    small = replace(config, replay_bytes=2_000_000)
    learner = make(config=small)
    slot = slot_bytes(learner.perception.fields)
    assert (slot > 64 * 64 * 3) == (not config.freeze_encoder)
    assert learner._kept.replay.capacity == min(2_000_000 // slot, 2 * small.steps + 10_000)
    assert learner._kept.replay.nbytes <= 2_000_000


@pytest.mark.parametrize("config", [CONFIG, TRAINED])
def test_resume_goes_on_bit_for_bit(make, config):
    episodes = online(5, seed=7)
    whole, half = make("whole", config=config), make("half", config=config)
    for learner in (whole, half):
        put(learner, episodes[:4])
    half.close()
    again = make("half", config=config)
    for learner in (whole, again):
        put(learner, episodes[4:])
    assert digest(whole.trainer.agent.state()[0]) == digest(again.trainer.agent.state()[0])
    assert (again.trainer.agent.encoder is None) == config.freeze_encoder
    assert again.perception.digest == whole.perception.digest


@pytest.mark.parametrize(("first", "then"), [(CONFIG, TRAINED), (TRAINED, CONFIG)])
def test_a_run_keeps_to_what_it_began_with(make, first, then):
    learner = make(config=first)
    put(learner, online(3, seed=8))
    learner.close()
    with pytest.raises(CheckpointError, match=f"finetune.freeze_encoder={str(first.freeze_encoder).lower()}"):
        make(config=then)


def test_features_of_another_encoder_are_not_taken_over(make, tmp_path, pretrained_on_images, caplog):
    """The same run folder without its checkpoint, and a policy that sees differently."""
    learner = make()
    put(learner, online(2, seed=9))
    learner._kept.save()
    learner.store.close()
    policy = load_policy(pretrained_on_images)
    agent = load_agent(pretrained_on_images / AGENT_FILE, SPEC, encoder=policy.perception.encoder).agent
    with torch.no_grad():
        agent.encoder.branches[0].projection[1].bias.add_(1.0)
    save_pretrained(tmp_path / "other", agent, load_perception(pretrained_on_images), {})
    (tmp_path / "run" / CONDITIONS).unlink()  # as a run of earlier versions, which noted none
    again = make(folder=tmp_path / "other")
    assert "holds features of encoder" in caplog.text
    assert len(again._kept.replay) == 40
    held = again._kept.replay.gather(torch.arange(1)).state
    assert not torch.allclose(held, learner._kept.replay.gather(torch.arange(1)).state, atol=1e-3)


def test_keypoints_cant_go_on_learning(tmp_path, pretrained):
    with pytest.raises(ConfigError, match=r"freeze_encoder=false, but the critics don't train.*keypoints"):
        Learner(tmp_path / "run", pretrained, SPEC, TRAINED)


def test_images_are_on_both_sides_of_a_mix(make, demo_store):
    stores = [TrajectoryStore(demo_store, read_only=True)]
    learner = make(config=replace(TRAINED, retention=0.5), offline=stores, task="red_disc")
    put(learner, online(3, seed=9))
    assert set(learner.trainer.source.sample(8).observation) == {"image/front", "proprio"}
    assert learner.trainer.agent.phase == "online"
