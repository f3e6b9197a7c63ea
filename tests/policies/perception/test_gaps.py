"""What is missing in some of the data: by hand, and without any influence on what is learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, demos, fake_text
from helpers.other_robot import LACKING, OTHER, as_other
from helpers.small_policies import SMALL_CNN

from policies.perception.encoders.encoder import Encoder
from policies.perception.gaps import NO_GAPS, Gaps
from policies.perception.image_perception import ImagePerception
from policies.perception.keypoint_config import KeypointConfig
from policies.perception.keypoint_labels import label_keypoints
from policies.perception.keypoint_perception import KeypointPerception
from policies.perception.keypoints import KeypointNet, KeypointNetConfig
from policies.perception.making import keypoint_training, new_image_perception
from policies.perception.scaling import ProprioScaling
from policies.perception.text_table import TextTable
from trajectories.alignment import AlignedStore, Alignment
from trajectories.errors import ConfigError

WIDE = replace(SPEC, cameras={"front": (64, 64), "wrist": (32, 32)})
SEEN = Alignment.of(OTHER, SPEC, {"front": "top"}, "it")
BLIND = Alignment.of(OTHER, SPEC, {}, "it")
WHOLE = Alignment.of(SPEC, SPEC, {}, "it")
EFFORT, YAW = (SPEC.proprio.index(name) for name in LACKING)


def gaps_of(*alignments, cameras=("front",)):
    return Gaps.of([AlignedStore(None, way) for way in alignments], cameras)


@pytest.fixture(scope="module")
def episodes():
    return demos(2, seed=4)


@pytest.fixture(scope="module")
def text(episodes):
    return TextTable.build([episode.instruction for episode in episodes], fake_text, "fake")


def test_what_is_missing_together_has_one_flag():
    further = replace(OTHER, proprio=tuple(name for name in OTHER.proprio if name != "tip_z"))
    apart = gaps_of(WHOLE, SEEN, Alignment.of(further, SPEC, {}, "it"))
    assert apart == Gaps((LACKING, ("tip_z",)), ("front",))
    assert gaps_of(WHOLE, BLIND, cameras=()) == Gaps((LACKING,))
    assert gaps_of(WHOLE) == NO_GAPS
    assert Gaps.from_dict(apart.to_dict()) == apart
    assert not NO_GAPS
    assert apart.column_of("front", 13) == 15


def test_the_flags_and_zeros_by_hand():
    gaps = Gaps((("a",), ("b", "c")), ("front",))
    spec = replace(SPEC, proprio=("a", "b", "c"))
    proprio = np.array([[1, 2, 3], [np.nan, 2, 3], [1, np.nan, np.nan]], np.float32)
    given = gaps.beside(2 * proprio, proprio, {}, spec)
    assert given.tolist() == [[2, 4, 6, 0, 0, 1], [0, 4, 6, 1, 0, 1], [2, 0, 0, 0, 1, 1]]
    assert given.dtype == np.float32
    assert NO_GAPS.beside(proprio, proprio, {}, spec) is proprio


def test_the_scale_is_that_of_the_known_entries():
    scaling = ProprioScaling.fit(np.array([[1, np.nan], [3, 5], [np.nan, 9]], np.float32))
    assert scaling.mean.tolist() == [2, 7]
    assert scaling.deviation.tolist() == [1, 2]


def test_an_entry_that_no_frame_has_is_0_whatever_the_robot_measures():
    scaling = ProprioScaling.fit(np.array([[1, np.nan], [3, np.nan]], np.float32))
    assert scaling.apply(np.array([[3, np.nan], [3, 1e30], [1, -7]], np.float32)).tolist() == [[1, 0], [1, 0], [-1, 0]]


def test_what_no_store_has_is_no_gap_and_a_camera_that_none_has_is_refused():
    assert gaps_of(SEEN, SEEN) == NO_GAPS
    with pytest.raises(ConfigError, match=r"policy's camera front.*data_roles=\[\{front:image_0\}\]"):
        gaps_of(BLIND, BLIND)
    assert gaps_of(BLIND, BLIND, cameras=()) == NO_GAPS


def test_without_gaps_the_scale_is_the_same_to_the_bit():
    values = np.random.default_rng(0).normal(3, 2, (5001, 13)).astype(np.float32)
    scaling, wide = ProprioScaling.fit(values), values.astype(np.float64)
    assert np.array_equal(scaling.mean, wide.mean(axis=0).astype(np.float32))
    assert np.array_equal(scaling.deviation, wide.std(axis=0).astype(np.float32))


def test_labels_need_what_they_are_made_of(episodes):
    whole = label_keypoints(episodes[0], SPEC.proprio)
    turned, held = (np.array(episodes[0].proprio) for _ in range(2))
    turned[:, SPEC.proprio.index("tip_yaw")] = np.nan
    labels = label_keypoints(replace(episodes[0], proprio=turned), SPEC.proprio)
    assert labels.mask[:, [3, 4]].sum() == 0
    rest = [0, 1, 2, 5, 6, 7]
    assert np.array_equal(labels.mask[:, rest], whole.mask[:, rest])
    assert np.array_equal(labels.values[:, rest], whole.values[:, rest])
    assert np.isfinite(labels.values).all()
    held[:, SPEC.proprio.index("gripper_width")] = np.nan
    assert not label_keypoints(replace(episodes[0], proprio=held), SPEC.proprio).known.any()


def perception(text, gaps, spec=SPEC):
    torch.manual_seed(0)
    net = KeypointNet(KeypointNetConfig(64, 13 + gaps.size, text.rows.shape[1]))
    scaling = ProprioScaling.fit(np.concatenate([episode.proprio for episode in demos(4, seed=5)]))
    return KeypointPerception(net, scaling, text, spec, "front", gaps)


def test_a_state_without_an_entry_or_the_camera(episodes, text, tmp_path):
    gaps = gaps_of(WHOLE, SEEN, BLIND)
    sees = perception(text, gaps)
    own = sees.episode(episodes[0])
    assert own.shape[1] == sees.size == perception(text, NO_GAPS).size + 2
    assert (own[:, -2:] == 0).all()
    kept = [name for name in SPEC.proprio if name not in ("tip_x", "tip_y", "target_x", "target_y")]
    lost = [kept.index(name) for name in LACKING]
    other = sees.episode(SEEN.apply(as_other(episodes[0])))
    assert (other[:, lost] == 0).all()
    assert (other[:, -2] == 1).all()
    assert (other[:, -1] == 0).all()
    same = [column for column in range(9) if column not in lost]
    assert np.array_equal(other[:, same], own[:, same])
    blind = sees.episode(BLIND.apply(as_other(episodes[0])))
    assert (blind[:, -2:] == 1).all()
    assert (blind[:, 12:-2] == 0).all()  # all that is made of keypoints
    assert np.array_equal(blind[:, same], own[:, same])
    assert np.array_equal(blind[:, 9:12], own[:, 9:12])  # from the target to the tip: no image has a part in it
    sees.save(tmp_path)
    back = KeypointPerception.load(tmp_path, SPEC)
    assert (back.gaps, back.digest) == (gaps, sees.digest)
    with pytest.raises(ConfigError, match="no images of camera 'front'"):
        perception(text, NO_GAPS).episode(BLIND.apply(as_other(episodes[0])))


def test_a_masked_entry_teaches_the_keypoint_network_nothing(episodes, text):
    """Frames without the entries alone: no gradient for their weights, one for the flag's."""
    gaps, blind = gaps_of(WHOLE, SEEN), BLIND.apply(as_other(episodes[1]))
    shown = [SEEN.apply(as_other(episodes[0])), replace(blind, id="never looked at")]
    training, scaling = keypoint_training([*shown, episodes[1]], 200, text, SPEC, "front", KeypointConfig(), 0, gaps)
    frames = training._frames
    assert set(frames.episode) == {0, 1}
    assert frames.proprio.shape[1] == 14
    known = [row for episode in (*episodes,) for row in episode.proprio[label_keypoints(episode, SPEC.proprio).known]]
    assert np.allclose(scaling.mean[:6], np.mean(known, axis=0)[:6], atol=1e-6)
    training._train = np.flatnonzero(frames.episode == 0)
    before = training.net.head[0].weight.detach().clone()
    training.update()
    gradient = training.net.head[0].weight.grad
    offset = 3 * training.net.config.channels[3]
    assert (gradient[:, [offset + EFFORT, offset + YAW]] == 0).all()
    assert gradient[:, offset + 13].abs().max() > 0
    assert not torch.equal(before, training.net.head[0].weight)


def test_a_missing_camera_has_no_influence_on_loss_and_gradient(text):
    config = replace(SMALL_CNN, cameras=("front", "wrist"))
    torch.manual_seed(0)
    encoder = Encoder(config, WIDE.cameras, 14, text.rows.shape[1], {"wrist": 13})
    proprio = torch.randn(4, 14)
    noise = np.random.default_rng(1)
    images = {n: torch.from_numpy(noise.integers(0, 256, (4, *s, 3), np.uint8)) for n, s in WIDE.cameras.items()}
    code = torch.randn(4, text.rows.shape[1])
    results = []
    for wrist in (images["wrist"], torch.zeros_like(images["wrist"])):
        proprio[:, 13] = 1.0
        encoder.zero_grad()
        loss = encoder({**images, "wrist": wrist}, proprio, code).square().sum()
        loss.backward()
        results.append((loss.item(), [p.grad.clone() for p in encoder.branch(0).parameters()]))
        assert all((p.grad == 0).all() for p in encoder.branch(1).parameters())
    assert results[0][0] == results[1][0]
    assert all(torch.equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))
    proprio[:, 13] = 0.0
    encoder.zero_grad()
    encoder(images, proprio, code).square().sum().backward()
    assert any(p.grad.abs().max() > 0 for p in encoder.branch(1).parameters())


@pytest.mark.parametrize("frozen", [False, True])
def test_images_through_an_encoder_with_a_missing_camera(episodes, text, tmp_path, frozen):
    """The target has two cameras, the other store only the front one."""
    own = replace(
        episodes[0], images={**episodes[0].images, "wrist": np.full((len(episodes[0]) + 1, 32, 32, 3), 9, np.uint8)}
    )
    way = Alignment.of(OTHER, WIDE, {"front": "top"}, "it")
    other = way.apply(as_other(episodes[0]))
    gaps = gaps_of(Alignment.of(WIDE, WIDE, {}, "it"), way, cameras=("front", "wrist"))
    config = replace(SMALL_CNN, cameras=("front", "wrist"))
    sees = new_image_perception([own, other], text, WIDE, config, 0, gaps=gaps)
    assert sees.encoder.absent == {"wrist": 14}
    kept = sees.frames(other)
    assert not kept["image/wrist"].any()
    assert (kept["proprio"][:, [EFFORT, YAW]] == 0).all()
    assert (kept["proprio"][:, 13:] == 1).all()
    assert (sees.frames(own)["proprio"][:, 13:] == 0).all()
    if frozen:
        sees.encoder.freeze()
        width = SMALL_CNN.width
        features = sees.frames(other)["state"]
        assert (features[:, width : 2 * width] == 0).all()
        assert (sees.frames(own)["state"][:, width : 2 * width] != 0).any()
    sees.save(tmp_path)
    back = ImagePerception.load(tmp_path, WIDE)
    assert (back.gaps, back.encoder.absent) == (gaps, sees.encoder.absent)
