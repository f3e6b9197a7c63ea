"""What replay keeps for an encoder, and that critic and actor share features which only the critic trains."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig, ResNetConfig
from policies.perception.encoders.description import described, rebuilt
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import draw_for_images, encode_batch, episode_fields, features, frame_fields
from policies.replay.replay import Replay
from trajectories.errors import CheckpointError, ConfigError
from trajectories.types import Source

CAMERAS = {"front": (32, 32), "wrist": (24, 24)}
TRAINED = EncoderConfig(
    network=CnnConfig(widths=(8, 8), strides=(2, 1)),
    cameras=("front", "wrist"),
    width=6,
    proprio_width=5,
    displacement=2,
)
FROZEN = replace(TRAINED, frozen=True)
TOWER = replace(TRAINED, network=ClipConfig(width=8))
TABLE = torch.randn(4, 3, generator=torch.Generator().manual_seed(9))
PROPRIO = 4


def make(config, seed=0):
    torch.manual_seed(seed)
    encoder = Encoder(config, CAMERAS, PROPRIO, 3)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if ".film" in name:
                parameter.add_(torch.randn(parameter.shape))
    return encoder


def episode(steps, seed=0):
    rng = np.random.default_rng(seed)
    images = {n: rng.integers(0, 256, (steps + 1, *size, 3), dtype=np.uint8) for n, size in CAMERAS.items()}
    return images, rng.standard_normal((steps + 1, PROPRIO)).astype(np.float32)


def as_batch(images, proprio, rows):
    return {name: torch.from_numpy(image[rows]) for name, image in images.items()}, torch.from_numpy(proprio[rows])


def filled(encoder, instruction=2, steps=12):
    replay = Replay(32, frame_fields(encoder), gamma=0.9)
    images, proprio = episode(steps)
    ends = np.arange(steps) == steps - 1
    replay.add_episode(
        episode_fields(encoder, images, proprio, TABLE[instruction]),
        np.zeros((steps, 7), np.float32), np.zeros(steps, np.float32), np.zeros(steps, bool), ends,
        np.zeros(steps, np.float32), np.full(steps, Source.POLICY, np.uint8), instruction,
    )  # fmt: skip
    return replay


@pytest.mark.parametrize("network", [CnnConfig(widths=(8, 8), strides=(2, 1)), ResNetConfig(), ClipConfig()])
def test_an_episode_is_encoded_to_what_the_frames_give(network):
    encoder = make(replace(FROZEN, network=network))
    images, proprio = episode(15)
    stored = encoder.encode_episode(images, proprio, TABLE[1], batch=8)
    assert stored.shape == (16, encoder.size)
    assert stored.dtype == torch.float32
    assert not stored.is_inference()
    for start in (0, 8):
        rows = slice(start, start + 8)
        assert torch.equal(stored[rows], encoder(*as_batch(images, proprio, rows), TABLE[1].expand(8, -1)))
    alone = encoder(*as_batch(images, proprio, slice(5, 6)), TABLE[1:2])
    assert (stored[5:6] - alone).abs().max() < 1e-4  # other sizes of a batch are summed in another order


def test_nothing_of_a_frozen_encoder_is_trained_and_its_updates_see_states():
    encoder = make(FROZEN)
    assert frame_fields(encoder) == {"state": ((encoder.size,), torch.float32)}
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    batch = filled(encoder).sample(8)
    encoded = encode_batch(encoder, batch, TABLE, draw_for_images(encoder, 8, torch.Generator()))
    assert encoded.critic is batch
    assert encoded.actor is batch


def test_a_frozen_encoder_sees_the_middle_of_its_crops():
    encoder = make(replace(FROZEN, augmentation="crop"))
    images, proprio = episode(3)
    framed = {name: image.copy() for name, image in images.items()}
    for image in framed.values():
        image[:, :2] = image[:, -2:] = 0
        image[:, :, :2] = image[:, :, -2:] = 0
    assert torch.equal(
        encoder.encode_episode(images, proprio, TABLE[0]), encoder.encode_episode(framed, proprio, TABLE[0])
    )


def test_what_a_frozen_tower_saw_is_stored_and_the_rest_computed_from_it():
    encoder = make(TOWER)
    fields = frame_fields(encoder)
    assert fields["tower/front"] == ((6, 6, 256), torch.float16)  # 18 KB a frame
    batch = filled(encoder, instruction=2).sample(8)
    images, proprio = episode(12)
    stored = episode_fields(encoder, images, proprio)
    assert stored["tower/wrist"].shape == (13, 6, 6, 256)
    fresh = encoder(*as_batch(images, proprio, slice(None)), TABLE[2].expand(13, -1))
    again = features(encoder, {n: torch.as_tensor(v) for n, v in stored.items()}, TABLE[2].expand(13, -1))
    assert torch.equal(again, fresh)
    encoded = encode_batch(encoder, batch, TABLE, draw_for_images(encoder, 8, torch.Generator()))
    for row, state in zip(batch.observation["proprio"], encoded.actor.state, strict=True):
        frame = int((torch.from_numpy(proprio) - row).abs().sum(1).argmin())
        assert torch.allclose(state, fresh[frame], atol=1e-5)


def test_frames_of_a_trained_encoder_stay_bytes_in_replay():
    encoder = make(TRAINED)
    assert frame_fields(encoder) == {
        "proprio": ((4,), torch.float32),
        "image/front": ((32, 32, 3), torch.uint8),
        "image/wrist": ((24, 24, 3), torch.uint8),
    }
    batch = filled(encoder).sample(6)
    assert batch.observation["image/front"].dtype == torch.uint8
    draws = draw_for_images(encoder, 6, torch.Generator().manual_seed(3))
    assert not torch.equal(draws.now, draws.after)
    encoded = encode_batch(encoder, batch, TABLE, draws)
    images = {name: batch.next_observation[f"image/{name}"] for name in CAMERAS}
    expected = encoder(images, batch.next_observation["proprio"], TABLE[batch.instruction], draws.after)
    assert torch.equal(encoded.critic.next_state, expected)
    assert torch.equal(encoded.critic.action, batch.action)


@pytest.mark.parametrize("config", [TRAINED, TOWER])
def test_the_critics_loss_trains_the_encoder_and_the_actors_does_not(config):
    encoder = make(config)
    critic, actor = torch.nn.Linear(encoder.size + 7, 1), torch.nn.Linear(encoder.size, 7)
    batch = filled(encoder).sample(8)
    calls = []
    hook = encoder.branches[0].register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    encoded = encode_batch(encoder, batch, TABLE, draw_for_images(encoder, 8, torch.Generator()))

    now, after = encoded.critic.state, encoded.critic.next_state
    with torch.no_grad():
        target = 1.0 + 0.9 * critic(torch.cat([after, actor(after)], 1))
    loss = (critic(torch.cat([now, batch.action], 1)) - target).square().mean()
    policy_loss = -critic(torch.cat([encoded.actor.state, actor(encoded.actor.state)], 1)).mean()
    hook.remove()
    assert calls == [True, False]  # each frame once, for both losses; the next ones without a graph

    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    policy_loss.backward()
    assert all(parameter.grad is None for parameter in trained.values())
    assert actor.weight.grad.abs().sum() > 0
    loss.backward()
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []
    assert torch.equal(encoded.actor.state, encoded.critic.state)


def test_actor_batches_of_several_critic_updates_join_without_their_images():
    encoder = make(TRAINED)
    batch = filled(encoder).sample(8)
    parts = [
        encode_batch(encoder, part, TABLE, draw_for_images(encoder, 4, torch.Generator()))
        for part in batch.minibatches(2)
    ]
    joined = type(batch).concatenate([part.actor for part in parts])
    assert set(joined.observation) == {"state"}
    assert joined.state.shape == (8, encoder.size)
    assert not joined.state.requires_grad


def test_a_camera_that_an_episode_lacks_is_named():
    images, proprio = episode(3)
    for lacking, there in (("wrist", "front"), ("front", "wrist")):
        for config in (TRAINED, FROZEN, TOWER):
            with pytest.raises(ConfigError, match=f"no image of camera '{lacking}'; given are {there}"):
                episode_fields(make(config), {there: images[there]}, proprio, TABLE[0])


@pytest.mark.parametrize("config", [TRAINED, replace(TOWER, frozen=True)])
def test_described_and_rebuilt_it_sees_the_same(config):
    encoder = make(config)
    description = json.loads(json.dumps(described(encoder)))
    again = rebuilt(description, encoder.trained_tensors())
    assert again.config == config
    images, proprio = episode(3)
    assert torch.equal(
        again.encode_episode(images, proprio, TABLE[0]), encoder.encode_episode(images, proprio, TABLE[0])
    )
    assert (
        sum(tensor.nbytes for tensor in encoder.trained_tensors().values()) < 1_000_000
    )  # the tower stays where it is


def test_another_tower_than_that_of_training_is_refused():
    encoder = make(TOWER)
    with pytest.raises(CheckpointError, match="behind the image tower 000000000000, and here it is"):
        rebuilt({**described(encoder), "tower": "0" * 64}, encoder.trained_tensors())


@pytest.mark.parametrize("config", [TRAINED, TOWER])
def test_a_renewed_encoder_has_the_new_weights_and_leaves_the_old_one_alone(config):
    old, new = make(config, seed=1), make(config, seed=2)
    images, proprio = episode(3)
    before = old.encode_episode(images, proprio, TABLE[0])
    fresh = old.renewed(new.trained_tensors())
    expected = new.encode_episode(images, proprio, TABLE[0])
    assert torch.equal(fresh.encode_episode(images, proprio, TABLE[0]), expected)
    assert torch.equal(old.encode_episode(images, proprio, TABLE[0]), before)
    assert not torch.equal(before, expected)
    assert fresh.tower is old.tower
    with pytest.raises(CheckpointError, match="another encoder"):
        old.renewed(make(replace(config, width=7)).trained_tensors())


def test_an_encoder_that_is_frozen_later_is_as_one_that_was_from_the_start():
    later, first = make(TRAINED), make(FROZEN)
    later.freeze()
    assert frame_fields(later) == frame_fields(first)
    assert later.draw(4, torch.Generator()) is None
    assert not any(parameter.requires_grad for parameter in later.parameters())
    images, proprio = episode(3)
    assert torch.equal(
        episode_fields(later, images, proprio, TABLE[0])["state"],
        episode_fields(first, images, proprio, TABLE[0])["state"],
    )
