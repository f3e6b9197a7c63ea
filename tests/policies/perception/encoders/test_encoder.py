"""The encoder as a whole: what it accepts, what depends on what, and that it learns to see what it is told about."""

from dataclasses import replace

import pytest
import torch

from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig, ResNetConfig
from policies.perception.encoders.encoder import Encoder
from trajectories.errors import CheckpointError, ConfigError

CAMERAS = {"front": (32, 32), "wrist": (40, 32), "top": (32, 32)}
CNN = CnnConfig(widths=(8, 8), strides=(2, 1))
RESNET = ResNetConfig(widths=(8, 16), blocks=(1, 2), strides=(1, 2))
TINY = EncoderConfig(network=CNN, width=6, proprio_width=5, augmentation="none")
PROPRIO, WORDS = 4, 3


def make(config, seed=0):
    torch.manual_seed(seed)
    return Encoder(config, CAMERAS, PROPRIO, WORDS)


def frames(count, seed=0, cameras=CAMERAS):
    draw = torch.Generator().manual_seed(seed)
    images = {
        name: torch.randint(0, 256, (count, *size, 3), dtype=torch.uint8, generator=draw)
        for name, size in cameras.items()
    }
    return images, torch.randn(count, PROPRIO, generator=draw), torch.randn(count, WORDS, generator=draw)


def spoken(encoder):
    """The encoder with FiLM layers that are no identity any more."""
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if ".films." in name or ".film." in name:
                parameter.add_(torch.randn(parameter.shape))
    return encoder


@pytest.mark.parametrize("network", [CNN, RESNET, ClipConfig(width=8)])
@pytest.mark.parametrize("instruction", ["film", "concat", "none"])
def test_features_have_the_size_that_is_said_and_a_gradient_reaches_every_weight(network, instruction):
    encoder = make(replace(TINY, network=network, cameras=("wrist", "front"), instruction=instruction))
    assert encoder.size == 2 * 6 + 5 + (16 if instruction == "concat" else 0)
    features = encoder(*frames(3))
    assert features.shape == (3, encoder.size)
    assert features.dtype == torch.float32
    (features * torch.randn(features.shape)).sum().backward()
    trained = {name: p.grad for name, p in encoder.named_parameters() if not name.startswith("tower.")}
    assert [name for name, gradient in trained.items() if gradient is None or not gradient.any()] == []
    assert all(p.grad is None and not p.requires_grad for n, p in encoder.named_parameters() if n.startswith("tower."))


@pytest.mark.parametrize("pooling", ["flatten", "spatial_softmax", "embeddings", "mean"])
def test_every_pooling_of_every_network(pooling):
    for network in (CNN, RESNET):
        config = replace(TINY, network=replace(network, pooling=pooling), width=0, proprio_width=0, instruction="none")
        encoder = make(config)
        features = encoder(*frames(2))
        assert features.shape == (2, encoder.size)
        assert torch.equal(features[:, -PROPRIO:], frames(2)[1])  # proprioception as it is


@pytest.mark.parametrize("network", [CNN, RESNET])
def test_the_same_seed_gives_the_same_features_and_another_seed_others(network):
    config = replace(TINY, network=network)
    with torch.no_grad():
        one, same, other = (make(config, seed)(*frames(4)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=1e-2)


@pytest.mark.parametrize("network", [CNN, RESNET])
def test_a_frame_does_not_see_its_neighbours_in_the_batch(network):
    encoder = spoken(make(replace(TINY, network=network)))
    images, proprio, code = frames(6)
    order = torch.tensor([3, 0, 5])
    with torch.no_grad():
        all_six = encoder(images, proprio, code)
        three = encoder({name: image[order] for name, image in images.items()}, proprio[order], code[order])
    assert torch.allclose(three, all_six[order], atol=1e-5)


def test_each_camera_proprioception_and_instruction_have_their_own_features():
    encoder = make(replace(TINY, cameras=("front", "wrist"), instruction="concat"))
    (images, proprio, code), (other_images, other_proprio, other_code) = frames(2, 0), frames(2, 1)
    parts = {"front": slice(0, 6), "wrist": slice(6, 12), "proprio": slice(12, 17), "words": slice(17, 33)}
    changes = {
        "front": ({**images, "front": other_images["front"]}, proprio, code),
        "wrist": ({**images, "wrist": other_images["wrist"]}, proprio, code),
        "proprio": (images, other_proprio, code),
        "words": (images, proprio, other_code),
    }
    with torch.no_grad():
        before = encoder(images, proprio, code)
        for changed, given in changes.items():
            after = encoder(*given)
            for name, part in parts.items():
                assert torch.equal(after[:, part], before[:, part]) == (name != changed), (changed, name)


def test_film_speaks_to_the_images_once_it_is_trained():
    fresh = make(TINY)
    images, proprio, code = frames(2)
    with torch.no_grad():
        assert torch.equal(fresh(images, proprio, code), fresh(images, proprio, -code))
        speaking = spoken(fresh)
        one, other = speaking(images, proprio, code), speaking(images, proprio, -code)
    assert not torch.allclose(one[:, :6], other[:, :6], atol=1e-2)
    assert torch.equal(one[:, 6:], other[:, 6:])


def test_shared_weights_see_alike_through_every_camera():
    config = replace(TINY, cameras=("front", "top"), shared=True)
    shared, separate = make(config), make(replace(config, shared=False))
    images, proprio, code = frames(2)
    with torch.no_grad():
        features = shared({"front": images["front"], "top": images["front"]}, proprio, code)
    assert torch.equal(features[:, :6], features[:, 6:12])
    of_proprio = sum(p.numel() for p in shared.proprio.parameters())
    count, twice = (sum(p.numel() for p in encoder.parameters()) - of_proprio for encoder in (shared, separate))
    assert twice == 2 * count


@pytest.mark.parametrize("network", [CNN, RESNET])
def test_channels_last_changes_the_time_and_not_the_numbers(network):
    encoder = make(replace(TINY, network=network))
    stem = next(parameter for parameter in encoder.parameters() if parameter.ndim == 4)
    assert stem.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        usual = encoder(*frames(3))
        encoder.to(memory_format=torch.contiguous_format)
        assert torch.allclose(encoder(*frames(3)), usual, atol=1e-5)


@pytest.mark.parametrize("network", [CNN, RESNET])
def test_half_precision_holds_within_three_percent_of_the_range(network):
    """bfloat16 convolutions on the CPU, as `bf16` has them on GPUs; features lie in -1 ... 1."""
    encoder = spoken(make(replace(TINY, network=network, width=50, bf16=True)))
    with torch.no_grad():
        full = encoder(*frames(16))
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder(*frames(16))
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert (half - full).square().mean().sqrt() < 0.03


def test_augmentation_moves_each_camera_by_its_own_draw():
    config = replace(TINY, cameras=("front", "top"), augmentation="shift", displacement=2)
    encoder = make(config)
    offsets = encoder.draw(3, torch.Generator().manual_seed(0))
    images, _, _ = frames(3)
    seen = encoder.see(images, offsets)
    padded = torch.nn.functional.pad(images["top"].permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="replicate")
    for i, (down, right) in enumerate(offsets[1].tolist()):
        window = padded[i, :, down : down + 32, right : right + 32].permute(1, 2, 0)
        assert torch.equal(seen["top"][i].float(), window)
    assert torch.equal(encoder.see(images)["front"], images["front"])


def test_crops_are_random_in_training_and_in_the_middle_when_acting():
    encoder = make(replace(TINY, augmentation="crop", displacement=3))
    images, proprio, code = frames(4)
    middle = torch.full((1, 4, 2), 3)
    assert encoder.see(images)["front"].shape == (4, 26, 26, 3)
    assert torch.equal(encoder.see(images)["front"], images["front"][:, 3:29, 3:29])
    with torch.no_grad():
        assert torch.equal(encoder(images, proprio, code), encoder(images, proprio, code, middle))
        assert not torch.equal(encoder(images, proprio, code), encoder(images, proprio, code, middle + 3))


def test_nothing_is_drawn_where_nothing_is_augmented():
    draws = torch.Generator().manual_seed(0)
    assert make(TINY).draw(4, draws) is None
    for config in (replace(TINY, frozen=True), replace(TINY, network=ClipConfig())):
        assert make(replace(config, augmentation="shift")).draw(4, draws) is None
    assert make(replace(TINY, augmentation="crop")).draw(4, draws).shape == (1, 4, 2)


def test_weights_go_from_one_encoder_to_another_and_not_to_one_of_another_make():
    trained, fresh = spoken(make(TINY, 0)), make(TINY, 1)
    fresh.load_trained(trained.trained_tensors())
    with torch.no_grad():
        assert torch.equal(fresh(*frames(2)), trained(*frames(2)))
    with pytest.raises(CheckpointError, match="another encoder"):
        make(replace(TINY, network=RESNET)).load_trained(trained.trained_tensors())


@pytest.mark.parametrize("network", [CNN, RESNET])
def test_augmentation_and_network_are_one_graph_without_a_look_at_the_device(network):
    encoder = make(replace(TINY, network=network, augmentation="shift"))
    offsets = encoder.draw(3, torch.Generator().manual_seed(0))
    whole = torch.compile(encoder, backend="aot_eager", fullgraph=True)(*frames(3), offsets)
    whole.sum().backward()
    traced = [parameter.grad.clone() for parameter in encoder.parameters()]
    encoder.zero_grad()
    usual = encoder(*frames(3), offsets)
    usual.sum().backward()
    assert torch.allclose(whole, usual, atol=1e-6)
    for one, other in zip(traced, [parameter.grad for parameter in encoder.parameters()], strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_missing_camera_is_named_with_those_that_are_there():
    with pytest.raises(ConfigError, match=r"\['side'\]; the robot has front, top, wrist"):
        make(replace(TINY, cameras=("front", "side")))
    images, proprio, code = frames(2)
    with pytest.raises(ConfigError, match="no image of camera 'front'; given are wrist"):
        make(TINY)({"wrist": images["wrist"]}, proprio, code)


def test_other_images_than_those_of_training_are_refused():
    encoder = make(TINY)
    images, proprio, code = frames(2)
    for wrong in (images["wrist"], images["front"].float(), images["front"][0], images["front"][..., :1]):
        with pytest.raises(ConfigError, match=r"made for uint8 \(B, 32, 32, 3\)"):
            encoder({"front": wrong}, proprio, code)
    with pytest.raises(ConfigError, match=r"expected \(B, 4\)"):
        encoder(images, proprio[:, :3], code)
    for wrong in (None, code[:1], code[:, :2]):
        with pytest.raises(ConfigError, match=r"expected \(2, 3\)"):
            encoder(images, proprio, wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": CnnConfig(widths=(8,) * 5, strides=(2,) * 5)}, "32 x 32 pixels are too small"),
        ({"augmentation": "crop", "displacement": 16}, "a crop loses 32"),
        ({"cameras": ("front", "wrist"), "shared": True}, "one size"),
    ],
)
def test_images_that_can_not_work_are_refused_at_the_start(settings, message):
    with pytest.raises(ConfigError, match=message):
        make(replace(TINY, **settings))


def test_an_instruction_without_embedding_is_refused():
    with pytest.raises(ConfigError, match="instruction='film' needs an embedding"):
        Encoder(TINY, CAMERAS, PROPRIO, 0)
    Encoder(replace(TINY, instruction="none"), CAMERAS, PROPRIO)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "'flatten', 'spatial_softmax', 'embeddings', 'mean'"),
        ({"widths": (8, 8)}, "as many positive numbers"),
        ({"strides": (2, 1, 1, 0)}, "as many positive numbers"),
    ],
)
def test_settings_of_a_network_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        CnnConfig(**settings)
    with pytest.raises(ConfigError, match="multiples of 4"):
        ResNetConfig(widths=(6,), blocks=(1,), strides=(1,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instruction": "bert"}, "'none', 'film', 'concat'"),
        ({"augmentation": "cutout"}, "'none', 'shift', 'crop'"),
        ({"cameras": ()}, "one name or several"),
        ({"cameras": ("front", "front")}, "one name or several"),
        ({"displacement": 0}, "displacement=0"),
        ({"width": -1}, "width=-1"),
        ({"network": {"widths": [8]}}, "is a dict; expected 'cnn', 'resnet', 'clip'"),
        ({"network": ClipConfig(stage=None)}, "'concat' or 'none'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **settings)


def test_settings_survive_json():
    for network in (CNN, RESNET, ClipConfig(stage=-1, finetune=True)):
        config = replace(TINY, network=network, cameras=("front", "wrist"), frozen=True)
        assert EncoderConfig.from_dict(config.to_dict()) == config
    assert EncoderConfig.from_dict({}) == EncoderConfig()
    resnet = EncoderConfig.from_dict({"kind": "resnet", "network": {"widths": [16, 32, 32]}, "cameras": ["top"]})
    assert resnet == EncoderConfig(network=ResNetConfig(widths=(16, 32, 32)), cameras=("top",))


def test_unknown_kinds_and_settings_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'vit'; expected one of 'cnn', 'resnet', 'clip'"):
        EncoderConfig.from_dict({"kind": "vit"})
    with pytest.raises(ConfigError, match=r"encoder.network has no setting 'blocks'; there are .*widths"):
        EncoderConfig.from_dict({"kind": "cnn", "network": {"blocks": [1]}})
    with pytest.raises(ConfigError, match=r"encoder has no setting 'camera'"):
        EncoderConfig.from_dict({"camera": "front"})


def squares(count, seed):
    """A red and a green square of 6 x 6 on noise; which one is meant, and the row and column of its corner / 13 - 1."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 60, (count, 32, 32, 3), dtype=torch.uint8, generator=draw)
    corners = torch.randint(0, 27, (2, count, 2), generator=draw)
    for i in range(count):
        for colour in (1, 0):
            row, column = corners[colour, i].tolist()
            images[i, row : row + 6, column : column + 6] = 255 * torch.eye(3, dtype=torch.uint8)[colour]
    meant = torch.randint(0, 2, (count,), generator=draw)
    return images, meant, corners[meant, torch.arange(count)] / 13 - 1


@pytest.mark.parametrize(
    ("network", "steps", "rate", "pixels"),
    [
        (ResNetConfig(widths=(16, 16), blocks=(1, 1), strides=(1, 1)), 100, 4e-3, 2.0),
        (CnnConfig(widths=(16, 16, 16), strides=(2, 2, 1), pooling="spatial_softmax"), 100, 4e-3, 2.0),
    ],
)
def test_it_learns_where_the_square_is_that_the_instruction_names(network, steps, rate, pixels):
    """Not looking misses by 10.8 pixels, not listening by 6.8."""
    torch.manual_seed(0)
    config = EncoderConfig(network=network, augmentation="none")
    encoder, head = Encoder(config, {"front": (32, 32)}, 1, 2), torch.nn.Linear(50 + 64, 2)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=rate)
    words = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    images, meant, places = squares(1000, seed=1)
    draw = torch.Generator().manual_seed(2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        rows = torch.randint(0, len(images), (32,), generator=draw)
        found = head(encoder({"front": images[rows]}, torch.zeros(32, 1), words[meant[rows]]))
        optimiser.zero_grad()
        (found - places[rows]).abs().mean().backward()
        optimiser.step()
    images, meant, places = squares(200, seed=3)
    with torch.no_grad():
        found = head(encoder({"front": images}, torch.zeros(200, 1), words[meant]))
    assert 13 * (found - places).norm(dim=1).mean() < pixels
