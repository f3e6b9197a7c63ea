"""Episodes of other projects' formats in memory; every number says where it belongs."""

import numpy as np

from trajectories.formats.foreign import ArrayFrames, ForeignEpisode


def smooth_frames(count, height=40, width=48, seed=0):
    """uint8 (count, H, W, 3): gradients that JPEG keeps well, different in every frame."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = [np.stack([rows * 2 + 5 * t + seed, columns * 2 + 3 * t, 200 - rows - t], -1) for t in range(count)]
    return np.clip(np.array(frames), 0, 255).astype(np.uint8)


def depth_frames(count, height=40, width=48):
    """uint16 (count, H, W) with values beyond 8 bits."""
    return (
        (np.arange(count * height * width, dtype=np.int64) * 7 % 65536).astype(np.uint16).reshape(count, height, width)
    )


def numbered(count, size, seed=0):
    """float32 (count, size): 100 * seed + t + entry / 100."""
    return (100 * seed + np.arange(count)[:, None] + np.arange(size) / 100).astype(np.float32)


def bridge_episode(steps=3, seed=0, depth=True, name="x"):
    images = {"images0": ArrayFrames(smooth_frames(steps + 1, seed=seed))}
    images["images1"] = ArrayFrames(smooth_frames(steps + 1, seed=seed + 9))
    if depth:
        images["depth_images0"] = ArrayFrames(depth_frames(steps + 1))
    columns = {
        "full_state": numbered(steps + 1, 7, seed).astype(np.float64),
        "time_stamp": 0.2 * np.arange(steps + 1),
        "env_done": np.zeros(steps + 1, np.bool_),
        "actions": numbered(steps, 7, seed + 1).astype(np.float64),
        "policy_out/new_robot_transform": numbered(steps, 16, seed).reshape(steps, 4, 4),
        "policy_out/stage": np.arange(steps, dtype=np.int32),
        "rewards": np.arange(steps, dtype=np.float32),
    }
    words = ("put the pot on the rack", "pot → rack")
    return ForeignEpisode(name, 5.0, columns, images, words, {"confidence": 0.9, "policy_type": "VRTeleopPolicy"})


def same(found, expected, lossless=True, left_out=()):
    """Assert that two episodes hold the same, images within JPEG's loss if not `lossless`."""
    assert set(found.columns) == set(expected.columns) - set(left_out)
    for key, column in found.columns.items():
        np.testing.assert_array_equal(column, expected.columns[key], err_msg=key)
        assert column.dtype == expected.columns[key].dtype, key
    assert set(found.images) == set(expected.images)
    for key, frames in found.images.items():
        pixels, original = frames.read(), expected.images[key].read()
        assert frames.shape == pixels.shape == original.shape, key
        assert frames.dtype == pixels.dtype == original.dtype, key
        if lossless or pixels.dtype == np.uint16:
            np.testing.assert_array_equal(pixels, original, err_msg=key)
        else:
            assert np.abs(pixels.astype(int) - original).mean() < 3, key
    assert found.instructions == expected.instructions


def robomimic_episode(steps=3, seed=0, last=True, name="x"):
    """With T + 1 observations if `last`, else T."""
    rows = steps + last
    columns = {
        "actions": numbered(steps, 7, seed + 1),
        "states": numbered(steps, 9, seed).astype(np.float64),
        "rewards": np.arange(steps, dtype=np.float64),
        "dones": (np.arange(steps) == steps - 1).astype(np.int64),
        "obs/robot0_eef_pos": numbered(rows, 3, seed),
        "obs/object": numbered(rows, 5, seed + 2).astype(np.float64),
    }
    images = {
        "obs/agentview_image": ArrayFrames(smooth_frames(rows, seed=seed)),
        "obs/agentview_depth": ArrayFrames(depth_frames(rows)),
    }
    return ForeignEpisode(name, 20.0, columns, images, ("lift the cube",), {"model_file": "<mujoco/>" * 9000})


def replay_episode(steps=3, seed=0, last=False, name="x"):
    """Of diffusion_policy, with observations of T rows, or of T + 1 if `last`."""
    rows = steps + last
    columns = {
        "action": numbered(steps, 2, seed + 1),
        "state": numbered(rows, 5, seed),
        "keypoint": numbered(rows, 18, seed).reshape(rows, 9, 2).astype(np.float64),
        "n_contacts": numbered(rows, 1, seed),
    }
    images = {"img": ArrayFrames(smooth_frames(rows, 24, 24, seed)), "depth": ArrayFrames(depth_frames(rows, 24, 24))}
    return ForeignEpisode(name, 10.0, columns, images, ("push the T",))


def minari_episode(steps=3, seed=0, name="x", flat=False):
    """With a dictionary of observations, or a vector if `flat`."""
    ends = np.arange(steps) == steps - 1
    columns = {
        "actions": numbered(steps, 4, seed + 1),
        "rewards": np.arange(steps, dtype=np.float64),
        "terminations": ends,
        "truncations": np.zeros(steps, np.bool_),
        "infos/success": np.append(ends, True),
    }
    if flat:
        return ForeignEpisode(name, 5.0, {**columns, "observations": numbered(steps + 1, 3, seed)})
    columns["observations/arm/qpos"] = numbered(steps + 1, 6, seed).astype(np.float64)
    columns["observations/step"] = np.arange(steps + 1, dtype=np.int64)
    images = {
        "observations/front": ArrayFrames(smooth_frames(steps + 1, seed=seed)),
        "observations/depth": ArrayFrames(depth_frames(steps + 1)),
    }
    return ForeignEpisode(name, 5.0, columns, images, ("put the pot on the rack", "pot → rack"))
