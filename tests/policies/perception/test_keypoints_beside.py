"""Keypoints beside an image encoder: their states in the place of proprioception, all the way to fine-tuning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import GOAL, SPEC, BlobWorld, demos, fake_text, instruction
from helpers.small_policies import RED_WORDINGS, SMALL_CNN

from commands.pretrain import keypoint_lines
from policies.learner.learner_config import LearnerConfig
from policies.learner.pretrain import pretrain
from policies.perception.encoders.config import EncoderConfig
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.loading import load_perception
from policies.perception.making import labelled_training, new_image_perception
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from policies.policy import load_policy
from policies.replay.dataset import under_all_wordings
from robot.link.codec import make_weights
from trajectories.errors import ConfigError
from trajectories.store import TrajectoryStore
from trajectories.types import Observation, RobotSpec

BESIDE = replace(SMALL_CNN, keypoints=True, proprio_width=0)
WIDE = RobotSpec(cameras={"front": (64, 64), "wrist": (32, 32)})


def trained(demo_store, folder, config, **more):
    store = TrajectoryStore(demo_store, read_only=True)
    return pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, folder, seed=3, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, demo_store, small_pretraining):
    """A policy folder, and what pre-training said of it."""
    folder = tmp_path_factory.mktemp("beside") / "pretrained"
    return folder, trained(demo_store, folder, replace(small_pretraining, clone_steps=10, steps=10, encoder=BESIDE))


def observe(seed=0, direction="forward"):
    world = BlobWorld(np.random.default_rng(seed), direction=direction)
    return world.reset()


def seeing(episodes, config=BESIDE, spec=SPEC, gaps=NO_GAPS, own=NO_GAPS):
    """A perception with random networks; `gaps` are the encoder's, `own` the keypoints'."""
    texts = {instruction(colour, direction) for colour in ("red", "blue") for direction in GOAL}
    text = TextTable.build(texts, fake_text, "fake")
    torch.manual_seed(0)
    net = KeypointNet(KeypointNetConfig(64, len(spec.proprio) + own.size, text.rows.shape[1]))
    scaling = ProprioScaling.fit(np.concatenate([episode.proprio for episode in episodes]))
    keypoints = KeypointPerception(net, scaling, text, spec, "front", own)
    return new_image_perception(episodes, text, spec, config, 0, gaps=gaps, keypoints=keypoints)


def test_features_are_the_images_and_behind_them_the_keypoints_states(whole):
    perception = load_perception(whole[0], SPEC)
    assert perception.keypoints is not None
    assert perception.size == SMALL_CNN.width + perception.keypoints.size
    (episode,) = demos(1, seed=4)
    states = perception.settled().frames(episode)["state"].numpy()
    assert np.array_equal(states[:, SMALL_CNN.width :], perception.keypoints.episode(episode))
    one = Observation({"front": episode.images["front"][3]}, episode.proprio[3], episode.instruction, {})
    assert np.allclose(states[3], perception.state(one), atol=1e-5)
    assert np.allclose(perception.state(one)[SMALL_CNN.width :], perception.keypoints.state(one), atol=1e-5)
    assert np.std(states[:, : SMALL_CNN.width], axis=0).max() > 0


def test_pretraining_tells_how_well_both_see(whole):
    about = whole[1]
    assert about["encoder"] == "cnn"
    assert about["keypoint_errors"]["pick_cm"] > 0
    assert about["encoder_errors"]["pick_cm"] > 0
    assert about["keypoint_errors"] != about["encoder_errors"]
    assert set(about["place_trust"]) == {"forward", "backward"}
    assert about["observations"] == (
        "proprioception, keypoints seen in one camera image, images of front through an encoder of kind cnn, "
        "instruction"
    )
    lines = keypoint_lines(about)
    assert [line.partition(",")[0] for line in lines] == ["keypoints", "encoder", "place point"]


def test_the_network_is_that_of_keypoints_alone_and_is_taken_from_them(
    whole, pretrained, demo_store, tmp_path, small_pretraining
):
    alone, beside = load_perception(pretrained), load_perception(whole[0])
    same = beside.keypoints.net.state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in alone.net.state_dict().items())
    said = []
    config = replace(small_pretraining, clone_steps=1, steps=0, encoder=BESIDE)
    trained(demo_store, tmp_path / "other", config, beside=[pretrained], notify=said.append)
    assert said == [f"The keypoint network is that of {pretrained}: data and settings are the same."]


def test_labels_are_learned_from_images_not_from_the_keypoints_that_hold_them():
    episodes = demos(4, seed=3)
    perception = seeing(episodes)
    frames = sum(len(episode.proprio) for episode in episodes)
    training = labelled_training(perception, perception.encoder, episodes, frames, KeypointConfig(steps=5), 0)
    assert training._frames.proprio.shape == (len(training._frames), perception.keypoints.size)
    assert not training._frames.proprio.any()
    assert perception.frames(episodes[0])["proprio"].any()


@pytest.mark.parametrize("frozen", [False, True])
def test_each_wording_has_frames_of_its_own(frozen):
    (episode,) = demos(1, seed=4)
    perception = seeing([episode])
    if frozen:
        perception.encoder.freeze()
    other = replace(episode, instruction=instruction("blue", "backward"))
    assert perception.sees_words
    first, second = under_all_wordings([episode, other], perception, 0.95)
    field = "state" if frozen else "proprio"
    assert first.frames[field].shape == second.frames[field].shape
    assert not np.array_equal(np.asarray(first.frames[field]), np.asarray(second.frames[field]))


def test_words_that_come_later_are_known_to_both(whole):
    perception = load_perception(whole[0])
    texts = (*perception.text.instructions, "put it elsewhere")
    more = perception.with_text(TextTable.build(texts, fake_text, "fake"))
    assert more.keypoints.text is more.text
    asked = replace(observe(), instruction="put it elsewhere")
    assert np.isfinite(more.state(asked)).all()


@pytest.mark.parametrize("freeze", [True, False])
def test_it_is_fine_tuned_published_and_read_again(open_learner, demo_store, tmp_path, small_pretraining, freeze):
    folder = tmp_path / "pretrained"
    trained(
        demo_store, folder,
        replace(small_pretraining, clone_steps=4, steps=4, batch=16, encoder=BESIDE, freeze_encoder=freeze),
    )  # fmt: skip
    config = LearnerConfig(steps=60, warmup_steps=20, utd=1, batch=16, publish_every=5, freeze_encoder=freeze)
    learner = open_learner(config=config, folder=folder)
    for episode in demos(3, seed=6):
        learner.put_episode(replace(episode, metadata={}))
    learner.train()
    held = learner._kept.replay.gather(torch.arange(4)).observation
    assert set(held) == ({"state"} if freeze else {"image/front", "proprio"})
    policy = load_policy(folder, SPEC)
    before = policy.act(observe(), True)
    tensors = {name: tensor.numpy() for name, tensor in learner.trainer.agent.actor_weights().items()}
    assert any(name.startswith("encoder.") for name in tensors) == (not freeze)
    policy.load(make_weights(1, tensors))
    assert not np.array_equal(policy.act(observe(), True), before)
    policy.save(tmp_path / "saved")
    again = load_policy(tmp_path / "saved", SPEC)
    assert again.perception.keypoints.digest == policy.perception.keypoints.digest
    assert np.array_equal(again.act(observe(), True), policy.act(observe(), True))


@pytest.mark.parametrize("missing", ["front", "wrist"])
@pytest.mark.parametrize("cameras", [("front", "wrist"), ("wrist",)])
def test_a_camera_that_is_missing_makes_nothing_of_its_images(cameras, missing):
    """The keypoints are seen in the front one, which the encoder needn't look through."""
    (episode,) = demos(1, seed=4)
    wrist = np.random.default_rng(0).integers(0, 256, (len(episode.proprio), 32, 32, 3), np.uint8)
    episode = replace(episode, images={**episode.images, "wrist": wrist})
    of_encoder = Gaps(cameras=tuple(name for name in cameras if name == missing))
    of_keypoints = Gaps(cameras=("front",) if missing == "front" else ())
    perception = seeing([episode], replace(BESIDE, cameras=cameras), WIDE, of_encoder, of_keypoints)
    flags = {name: perception.keypoints.size for name in cameras if name == missing}
    assert perception.encoder.absent == flags
    perception.encoder.freeze()
    without = replace(episode, images={name: seen for name, seen in episode.images.items() if name != missing})
    there, gone = (perception.frames(each)["state"].numpy() for each in (episode, without))
    ends = SMALL_CNN.width * np.arange(1, len(cameras) + 1)
    *views, states = np.split(gone, ends, axis=1)
    for name, view in zip(cameras, views, strict=True):
        assert bool((view != 0).any()) == (name != missing)
    size = perception.keypoints.size
    assert np.array_equal(states[:, :size], perception.keypoints.episode(without))
    assert bool((states[:, 12 : size - 1] == 0).all()) == (missing == "front")
    assert (states[:, size:] == 1).all()
    assert (there[:, ends[-1] + size :] == 0).all()
    seen = {name: images[2] for name, images in without.images.items()}
    with pytest.raises(ConfigError, match=f"no image of camera '{missing}'"):
        perception.state(Observation(seen, episode.proprio[2], episode.instruction, {}))


def test_a_camera_that_nothing_said_could_be_missing_is_refused():
    (episode,) = demos(1, seed=4)
    wrist = np.zeros((len(episode.proprio), 32, 32, 3), np.uint8)
    perception = seeing([episode], replace(BESIDE, cameras=("wrist",)), WIDE)
    with pytest.raises(ConfigError, match="no images of camera 'front'"):
        perception.frames(replace(episode, images={"wrist": wrist}))


def test_an_entry_that_is_missing_is_flagged_for_both():
    (episode,) = demos(1, seed=4)
    gaps = Gaps(proprio=(("gripper_effort",),))
    perception = seeing([episode], gaps=gaps, own=gaps)
    proprio = episode.proprio.copy()
    proprio[:, SPEC.proprio.index("gripper_effort")] = np.nan
    inputs = perception.frames(replace(episode, proprio=proprio))["proprio"]
    assert np.isfinite(inputs).all()
    assert (inputs[:, [perception.keypoints.size - 1, perception.keypoints.size]] == 1).all()


def test_a_network_of_other_gaps_is_refused():
    (episode,) = demos(1, seed=4)
    perception = seeing([episode]).keypoints
    with pytest.raises(ConfigError, match=r"takes 13 entries beside the image.* has 14"):
        KeypointPerception(
            perception.net, perception.scaling, perception.text, SPEC, "front", Gaps(proprio=(("tip_yaw",),))
        )


def test_a_network_that_learns_nothing_is_refused(small_pretraining):
    with pytest.raises(ConfigError, match=r"encoder_steps=0 would see.*encoder\.keypoints=false"):
        replace(small_pretraining, encoder=BESIDE, keypoints=KeypointConfig(steps=0))
    replace(small_pretraining, encoder=SMALL_CNN, keypoints=KeypointConfig(steps=0))


def test_without_keypoints_settings_are_as_they_were():
    assert "keypoints" not in EncoderConfig().to_dict()
    assert EncoderConfig.from_dict(BESIDE.to_dict()) == BESIDE
    assert EncoderConfig.from_dict(SMALL_CNN.to_dict()) == SMALL_CNN


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the means of no frame, before it is refused
def test_data_without_a_grasp_are_refused_with_what_to_do(tmp_path, small_pretraining):
    store = TrajectoryStore(tmp_path / "store", SPEC)
    for episode in demos(2, seed=2):
        wide = episode.proprio.copy()
        wide[:, SPEC.proprio.index("gripper_command")] = 1.0
        store.commit(replace(episode, proprio=wide))
    config = replace(small_pretraining, clone_steps=2, steps=0, encoder=BESIDE)
    with pytest.raises(ConfigError, match=r"No frame has a keypoint label.*encoder\.keypoints=false"):
        pretrain([store], "red_disc", RED_WORDINGS, fake_text, "fake", config, tmp_path / "policy", seed=3)
