"""Frames of foreign cameras at the size of ours."""

import numpy as np
import pytest
from helpers.lerobot_samples import gradient_frames

from factory.doors.mapping import CameraKey
from factory.doors.pictures import centred, depths, pictures
from trajectories.errors import ConfigError
from trajectories.formats.foreign import ArrayFrames


def test_the_middle_of_our_shape_is_taken():
    assert centred((480, 640), (96, 96)) == (0, 80, 480, 480)
    assert centred((640, 480), (48, 96)) == (200, 0, 240, 480)
    assert centred((96, 96), (96, 96)) == (0, 0, 96, 96)


def test_frames_of_our_size_stay_as_they_are():
    frames = gradient_frames(4, (16, 16))
    np.testing.assert_array_equal(pictures(ArrayFrames(frames), [0, 2, 2], None, (16, 16), "front"), frames[[0, 2, 2]])


def test_a_crop_is_scaled_by_area():
    frames = gradient_frames(2, (48, 64))
    found = pictures(ArrayFrames(frames), [1], (8, 16, 32, 32), (16, 16), "front")[0]
    expected = frames[1, 8:40, 16:48].reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(found - expected).max() <= 1.0


def test_a_crop_beyond_the_frame_is_refused():
    with pytest.raises(ConfigError, match=r"doors\.cameras\.front\.crop .* outside of frames of 16 x 16"):
        pictures(ArrayFrames(gradient_frames(1, (16, 16))), [0], (8, 8, 16, 16), (8, 8), "front")


def test_smaller_frames_are_enlarged():
    assert pictures(ArrayFrames(gradient_frames(1, (8, 8))), [0], None, (16, 16), "front").shape == (1, 16, 16, 3)


def test_depth_is_cropped_alike_and_never_averaged():
    frames = np.random.default_rng(0).integers(0, 9000, (2, 64, 48), np.uint16)
    found = depths(ArrayFrames(frames), [1], CameraKey("a", (16, 8, 32, 32), "b"), (16, 16), "front")[0]
    np.testing.assert_array_equal(found, frames[1, 17:48:2, 9:40:2])
    scaled = depths(ArrayFrames(frames), [1], CameraKey("a", (16, 8, 32, 32), "b", 0.5), (16, 16), "front")[0]
    np.testing.assert_array_equal(scaled, np.rint(found * 0.5))
    with pytest.raises(ConfigError, match="outside of frames"):
        depths(ArrayFrames(frames), [1], CameraKey("a", (40, 8, 32, 32), "b"), (16, 16), "front")


class Reduced(ArrayFrames):
    """Frames that a decoder gives at half the size where that suffices."""

    def read(self, indices=None, at_least=None):
        height, width = self.array.shape[1:3]
        frames = super().read(indices)
        enough = at_least is not None and at_least[0] <= height // 2 and at_least[1] <= width // 2
        return frames[:, ::2, ::2] if enough else frames


def test_reduced_frames_are_cropped_at_the_same_place():
    frames = gradient_frames(1, (64, 64))
    whole = pictures(ArrayFrames(frames), [0], (16, 32, 32, 32), (16, 16), "front")
    reduced = pictures(Reduced(frames), [0], (16, 32, 32, 32), (16, 16), "front")
    assert np.abs(whole.astype(int) - reduced.astype(int)).max() <= 3
