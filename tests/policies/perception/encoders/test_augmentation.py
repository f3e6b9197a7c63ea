"""Shifts and crops, to the byte against NumPy on one image at a time."""

import numpy as np
import pytest
import torch

from policies.perception.encoders.augmentation import centre_crop, crop, draw_offsets, shift


def every_offset(displacement):
    span = range(2 * displacement + 1)
    return torch.tensor([(down, right) for down in span for right in span])


def images_of(count, height=7, width=9):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_a_row_of_pixels_by_hand():
    row = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(1, 1, 4, 1).expand(3, 1, 4, 1)
    offsets = torch.tensor([[2, 0], [2, 2], [0, 3]])  # of displacement 2: two left of the image, unmoved, one right
    moved = shift(row, offsets, 2)[:, 0, :, 0]
    assert moved.tolist() == [[10, 10, 10, 20], [10, 20, 30, 40], [20, 30, 40, 40]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_shift_is_a_window_of_the_edge_padded_image(dtype):
    offsets = every_offset(3)
    images = images_of(len(offsets))
    moved = shift(torch.from_numpy(images).to(dtype), offsets, 3)
    assert moved.dtype == dtype
    for image, (down, right), result in zip(images, offsets.tolist(), moved, strict=True):
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="edge")
        assert np.array_equal(result.numpy(), padded[down : down + 7, right : right + 9])


def test_every_crop_is_a_window_of_its_own_image():
    offsets = every_offset(2)
    images = images_of(len(offsets))
    cut = crop(torch.from_numpy(images), offsets, 2)
    assert cut.shape == (25, 3, 5, 3)
    for image, (down, right), result in zip(images, offsets.tolist(), cut, strict=True):
        assert np.array_equal(result.numpy(), image[down : down + 3, right : right + 5])


def test_the_centre_crop_is_the_crop_of_no_displacement():
    images = torch.from_numpy(images_of(4))
    middle = crop(images, torch.full((4, 2), 2), 2)
    assert torch.equal(centre_crop(images, 2), middle)
    assert torch.equal(middle, images[:, 2:5, 2:7])


def test_images_that_are_not_contiguous_are_moved_alike():
    images = torch.from_numpy(images_of(4)).flip(1).transpose(1, 2)
    offsets = torch.tensor([[0, 1], [2, 2], [1, 0], [2, 0]])
    assert torch.equal(shift(images, offsets, 1), shift(images.contiguous(), offsets, 1))
    assert torch.equal(crop(images, offsets, 1), crop(images.contiguous(), offsets, 1))


def test_draws_are_those_of_the_seed_uniform_and_one_for_each_camera():
    first, again = (draw_offsets(2, 4000, 4, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (2, 4000, 2)
    assert first.dtype == torch.int64
    counts = torch.bincount(first.flatten(), minlength=9)
    assert len(counts) == 9  # 0 ... 8, both ends included
    assert (counts - 16000 / 9).abs().max() < 5 * (16000 / 9) ** 0.5
    assert not torch.equal(first[0], first[1])
