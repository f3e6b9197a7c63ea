"""Poolings, FiLM and the two convolutional networks, against numbers worked out by hand and laws that must hold."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from policies.perception.encoders.cnn import ChannelNorm, Cnn
from policies.perception.encoders.config import CnnConfig, ResNetConfig
from policies.perception.encoders.film import Film
from policies.perception.encoders.pooling import SpatialEmbeddings, SpatialSoftmax, make_pooling
from policies.perception.encoders.resnet import BasicBlock, ResNet


def test_a_hot_pixel_is_where_the_spatial_softmax_says():
    x = torch.zeros(1, 2, 3, 5)
    x[0, 0, 0, 4] = 200.0  # right end of the first row
    x[0, 1, 2, 1] = 200.0  # last row, second of five columns
    assert SpatialSoftmax(2, 3, 5)(x).tolist() == [[1.0, -0.5, -1.0, 1.0]]


def test_two_pixels_share_the_place_by_their_softmax():
    pooling = SpatialSoftmax(1, 1, 2)
    x = torch.tensor([0.0, math.log(3.0)]).view(1, 1, 1, 2)
    assert pooling(x)[0, 0].item() == pytest.approx(-0.25 + 0.75)
    with torch.no_grad():
        pooling.sharpness.fill_(2.0)
    assert pooling(x)[0, 0].item() == pytest.approx(-0.1 + 0.9)  # exp(2 ln 3) = 9


def test_spatial_embeddings_sum_the_places_of_each_channel_on_its_own():
    pooling = SpatialEmbeddings(3, 2, 4, count=5)
    x = torch.randn(6, 3, 2, 4)
    weight = pooling.weight.detach().numpy()
    expected = np.zeros((6, 3, 5))
    for b, c, k in np.ndindex(6, 3, 5):
        expected[b, c, k] = sum(x[b, c].flatten()[p].item() * weight[c, p, k] for p in range(8))
    np.testing.assert_allclose(pooling(x).detach().numpy(), expected.reshape(6, 15), atol=1e-5)


def test_flatten_and_mean_by_hand():
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert make_pooling("flatten", 2, 2, 2)(x).tolist() == [[0, 4, 1, 5, 2, 6, 3, 7]]
    assert make_pooling("mean", 2, 2, 2)(x).tolist() == [[1.5, 5.5]]


@pytest.mark.parametrize(("name", "size"), [("flatten", 60), ("spatial_softmax", 6), ("embeddings", 24), ("mean", 3)])
def test_every_pooling_says_its_size_and_takes_either_memory_format(name, size):
    pooling = make_pooling(name, 3, 4, 5)
    x = torch.randn(2, 3, 4, 5)
    assert pooling.size == size
    assert pooling(x).shape == (2, size)
    assert torch.allclose(pooling(x), pooling(x.contiguous(memory_format=torch.channels_last)), atol=1e-6)


def test_film_is_the_identity_at_first_and_then_scales_and_shifts():
    film = Film(1, 2)
    x = torch.randn(3, 2, 4, 4)
    code = torch.randn(3, 1)
    assert torch.equal(film(x, code), x)
    with torch.no_grad():
        film.line.weight.copy_(torch.tensor([[0.5], [0.0], [0.0], [-1.0]]))  # scales of both channels, then shifts
    spoken = film(x[:1], torch.tensor([[2.0]]))
    assert torch.allclose(spoken[:, 0], 2.0 * x[:1, 0])
    assert torch.allclose(spoken[:, 1], x[:1, 1] - 2.0)


def test_channels_are_normalised_at_each_place():
    x = torch.tensor([[1.0, 10.0], [3.0, 10.0]]).view(1, 2, 1, 2)  # channels (1, 3) at one place, (10, 10) at the other
    assert torch.allclose(ChannelNorm(2)(x)[0, :, 0], torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), atol=1e-4)


def test_one_layer_of_the_cnn_by_hand():
    """A filter that reads the middle's red: white is (0.5, 0) before the norm and (1, -1) behind, black the reverse."""
    cnn = Cnn(CnnConfig(widths=(2,), strides=(1,)), None)
    with torch.no_grad():
        cnn.convolutions[0].weight.zero_()
        cnn.convolutions[0].weight[0, 0, 1, 1] = 1.0
    images = torch.zeros(1, 4, 3, 3, dtype=torch.uint8)
    images[0, 1, 1, 0] = 255
    with torch.no_grad():
        assert torch.allclose(cnn(images, None)[0, :, :, 0], torch.tensor([[1.0, 0.0], [0.0, 1.0]]), atol=1e-3)


def test_maps_have_the_sizes_of_the_references():
    images = torch.zeros(1, 100, 100, 3, dtype=torch.uint8)
    with torch.no_grad():
        assert Cnn(CnnConfig(), None)(images, None).shape == (1, 32, 43, 43)  # 100 -> 49 -> 47 -> 45 -> 43
        assert ResNet(ResNetConfig(), None)(images[:, :96, :96], None).shape == (1, 64, 12, 12)
        ten = ResNetConfig(widths=(64, 128, 256, 512), blocks=(1, 1, 1, 1), strides=(1, 2, 2, 2))
        resnet = ResNet(ten, None)
        assert resnet(torch.zeros(1, 128, 128, 3, dtype=torch.uint8), None).shape == (1, 512, 4, 4)
    convolutions = 3 * 49 * 64 + 2 * 9 * 64 * 64  # stem, first stage; then 3 x 3, 3 x 3 and 1 x 1 of each stage
    convolutions += sum(9 * a * 2 * a + 9 * 4 * a * a + a * 2 * a for a in (64, 128, 256))
    norms = 2 * (64 + 2 * 64 + 3 * (128 + 256 + 512))
    assert sum(p.numel() for p in resnet.parameters()) == convolutions + norms


def test_group_norm_makes_the_residual_network_blind_to_contrast():
    """Without biases, three times the contrast around mid-grey is three times every activation before a norm."""
    torch.manual_seed(0)
    resnet = ResNet(ResNetConfig(widths=(8, 16), blocks=(2, 1), strides=(1, 2)), None)
    signs = torch.randint(0, 2, (2, 32, 32, 3)) * 2 - 1
    faint, strong = ((127.5 + 12.5 * factor * signs).to(torch.uint8) for factor in (1, 3))
    with torch.no_grad():
        assert torch.allclose(resnet(faint, None), resnet(strong, None), atol=1e-2)
        assert resnet(faint, None).std() > 0.1


def test_a_block_without_weights_is_its_shortcut():
    block = BasicBlock(4, 4, 1)
    for layer in (block.first[0], block.second[0]):
        torch.nn.init.zeros_(layer.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), torch.relu(x))


@pytest.mark.parametrize("size", [(9, 10), (8, 7)])
def test_a_shortcut_with_a_stride_is_the_strided_convolution(size):
    torch.manual_seed(0)
    block = BasicBlock(8, 16, 2)
    images = torch.randn(3, 8, *size)
    projected = functional.conv2d(images, block.shortcut[0].weight, stride=2)
    expected = (block.second(block.first(images)) + block.shortcut[1](projected)).relu()
    torch.testing.assert_close(block(images), expected)
