"""Collision check: distances between two oracles, nothing skipped on the way, a way out of what is too near."""

import contextlib

import mujoco
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from robot.arms.wx250s import WX250S
from robot.control.collision import HORIZON_M, TABLE, Collision
from robot.control.home import HomeRegion
from robot.control.kinematics import JOINT_LOWER, JOINT_UPPER, Kinematics
from robot.control.pose import Pose
from robot.control.poses import NEUTRAL_JOINTS, SLEEP_JOINTS
from robot.control.safety_limits import SafetyLimits
from trajectories.errors import ConfigError, KinematicsError

NEAR = (0.0, 0.0, 0.0, 0.0, 1.5, 0.0)
BOX, CYLINDER = int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_CYLINDER)


@pytest.fixture(scope="module")
def collision() -> Collision:
    return Collision()


def at(x, y, z, yaw=0.0):
    return WX250S.kinematics().inverse(Pose.of((x, y, z), (0.0, 0.0, yaw)), NEAR)


def random_joints(count, seed):
    return np.random.default_rng(seed).uniform(JOINT_LOWER, JOINT_UPPER, (count, 6))


def shapes(collision, joints):
    """(link, centre, rotation, half sizes of the box around it, whether it is a box), as MuJoCo places them."""
    model = collision._model
    data = mujoco.MjData(model)
    data.qpos[:6], data.qpos[6:8] = joints, (0.037, -0.037)
    mujoco.mj_kinematics(model, data)
    found = []
    for geom in range(model.ngeom):
        kind, size = int(model.geom_type[geom]), model.geom_size[geom]
        if kind in (BOX, CYLINDER):
            half = size if kind == BOX else np.array([size[0], size[0], size[1]])
            link = model.body(model.geom_bodyid[geom]).name.removesuffix("_link").replace("_", " ")
            found.append((link, data.geom_xpos[geom], data.geom_xmat[geom].reshape(3, 3), half, kind == BOX))
    assert len(found) == model.ngeom - 1  # all but the table
    return found


def distance_of_boxes(one, other):
    """Distance of two boxes by least squares with bounds; 0 when they overlap."""
    matrix = np.hstack([one[2] * one[3], -other[2] * other[3]])
    result = lsq_linear(matrix, other[1] - one[1], (-1, 1), method="bvls")
    return float(np.linalg.norm(matrix @ result.x - (other[1] - one[1])))


def neighbours(one, other):
    chain = ("base", "shoulder", "upper arm", "upper forearm", "lower forearm", "wrist", "gripper")
    if {one, other} == {"left finger", "right finger"}:
        return True
    if "finger" in one or "finger" in other:
        return "gripper" in (one, other) or one == other
    return abs(chain.index(one) - chain.index(other)) <= 1


def test_distances_between_links_are_those_of_an_oracle(collision):
    seen = 0
    apart = [q for q in random_joints(400, 5) if any(d > 0 for d in collision.distances(q).values())]
    for joints in [*random_joints(8, 0), *apart[:12]]:
        near = collision.distances(joints)
        every = shapes(collision, joints)
        least, most = {}, {}
        for i, one in enumerate(every):
            for other in every[i + 1 :]:
                gap = np.linalg.norm(one[1] - other[1]) - np.linalg.norm(one[3]) - np.linalg.norm(other[3])
                if neighbours(one[0], other[0]) or gap > HORIZON_M:
                    continue
                pair, distance = f"{other[0]} and {one[0]}", distance_of_boxes(one, other)
                least[pair] = min(least.get(pair, HORIZON_M), distance)  # cylinders as the boxes around them
                if one[4] and other[4]:
                    most[pair] = min(most.get(pair, HORIZON_M), distance)
        for pair in {*least, *(p for p in near if not p.endswith(TABLE))}:
            measured = near.get(pair, HORIZON_M)
            assert measured <= most.get(pair, HORIZON_M) + 1e-5, (pair, joints)
            assert max(measured, 0.0) >= least.get(pair, HORIZON_M) - 1e-5, (pair, joints)
            seen += 0.0 < measured < HORIZON_M
    assert seen >= 12


def test_the_distance_to_the_table_is_the_height_of_the_lowest_point(collision):
    seen = 0
    for joints in random_joints(300, 1):
        lowest: dict[str, float] = {}
        for link, centre, rotation, half, box in shapes(collision, joints):
            if link == "base" or "finger" in link:
                continue
            down = rotation[2]
            drop = np.abs(down) @ half if box else half[0] * np.hypot(down[0], down[1]) + abs(down[2]) * half[2]
            lowest[link] = min(lowest.get(link, np.inf), centre[2] - drop)
        near = collision.distances(joints)
        for link, height in lowest.items():
            if abs(height - HORIZON_M) > 1e-5:
                assert (f"{link} and {TABLE}" in near) == (height < HORIZON_M)
            if height < HORIZON_M:
                assert near[f"{link} and {TABLE}"] == pytest.approx(height, abs=1e-5)
                seen += 1
    assert seen > 100


def test_neutral_home_and_the_whole_box_are_free(collision):
    limits, rng = SafetyLimits(), np.random.default_rng(2)
    assert collision.clearance(NEUTRAL_JOINTS).pair == ""
    for _ in range(50):
        home = HomeRegion().sample(rng)
        assert collision.clearance(WX250S.kinematics(limits).inverse(home, NEAR)).pair == ""
    joints = []
    for _ in range(400):
        ends = [(rng.uniform(*pair), *pair) for pair in zip(limits.position_lower, limits.position_upper, strict=True)]
        turns = [(rng.uniform(*pair), *pair) for pair in zip(limits.rpy_lower, limits.rpy_upper, strict=True)]
        pose = Pose.of(tuple(rng.choice(end) for end in ends), tuple(rng.choice(turn) for turn in turns))
        with contextlib.suppress(KinematicsError):  # the far corners are out of reach
            joints.append(WX250S.kinematics(limits).inverse(pose, NEAR))
    assert len(joints) > 300
    assert min(collision.clearance(q).distance for q in joints) >= collision.margin


def test_the_folded_arm_rests_a_hair_above_its_shoulder(collision):
    folded = collision.clearance(SLEEP_JOINTS)
    assert folded.pair == "wrist and shoulder"
    assert folded.distance == pytest.approx(0.00176, abs=1e-4)


def test_fingers_may_touch_the_table_and_the_hand_may_not(collision):
    kinematics = Kinematics()
    assert collision.clearance(kinematics.inverse(Pose.of((0.26, 0.0, -0.005)), NEAR)).pair == ""
    flat = Pose.of((0.30, 0.0, 0.010), (0.0, -1.2, 0.0))  # the hand nearly level
    assert collision.clearance(kinematics.inverse(flat, NEAR)).pair.endswith(f"and {TABLE}")


def test_a_hand_that_swings_through_the_table_is_stopped_though_it_starts_and_ends_level(collision):
    rng = np.random.default_rng(3)
    for _ in range(30):
        # forearm 60 degrees down with the wrist 8 cm high; the hand, 12 cm long, swings from the front to the back
        turned = np.array([rng.uniform(-3, 3), 0.557, 0.49, 0.0, 0.0, rng.uniform(-3, 3)]) + rng.normal(0, 0.01, 6)
        swing = np.eye(6)[4]
        start, end = turned - 1.05 * swing, turned + 1.95 * swing + rng.uniform(-1, 1) * np.eye(6)[0]
        assert min(collision.clearance(q).distance for q in (start, end)) > collision.margin
        assert collision.clearance(turned + 0.52 * swing).distance < -0.02
        assert collision.obstacle(start, end).endswith(TABLE)
        assert collision.obstacle(end, start).endswith(TABLE)


def test_a_way_that_is_found_free_is_free_everywhere(collision):
    rng = np.random.default_rng(4)
    free = 0
    for start in random_joints(600, 4):
        end = np.clip(start + rng.uniform(-0.5, 0.5, 6), JOINT_LOWER, JOINT_UPPER)
        if collision.clearance(start).distance < HORIZON_M and collision.obstacle(start, end) is None:
            before = min(collision.clearance(start).distance, 0.0) - 1e-5
            parts = rng.random(20)
            assert min(collision.clearance(start + (end - start) * part).distance for part in parts) > before
            free += 1
    assert free > 10


def test_what_is_too_near_already_may_leave_and_not_go_on(collision):
    for near, joint in ((np.array(SLEEP_JOINTS), 2), (at(0.26, 0.0, 0.05) + 0.35 * np.eye(6)[1], 1)):
        here = collision.clearance(near)
        assert here.distance < collision.margin
        ways = [np.eye(6)[joint] * 0.05 * sign for sign in (1, -1)]
        after = [collision.distances(near + way).get(here.pair, HORIZON_M) for way in ways]
        worse, better = ways[int(np.argmin(after))], ways[int(np.argmax(after))]
        assert min(after) < here.distance < max(after)
        assert collision.obstacle(near, near + better) is None
        assert collision.obstacle(near, near + worse) == here.pair
        assert collision.obstacle(near, near) is None
        assert collision.obstacle(near, near + 0.3 * np.eye(6)[0]) is None  # the waist brings nothing nearer


def test_a_motion_that_nothing_is_near_to_costs_few_looks(collision, monkeypatch):
    looks = []
    distances = collision.distances
    monkeypatch.setattr(collision, "distances", lambda joints: looks.append(1) or distances(joints))
    start = at(0.26, 0.0, 0.14)
    assert collision.obstacle(start, start + 0.005) is None
    assert len(looks) == 2
    looks.clear()
    assert collision.obstacle(start, at(0.26, 0.05, 0.10, 0.2)) is None
    assert len(looks) <= 17


def test_other_models_and_margins_are_refused(tmp_path):
    other = tmp_path / "other.xml"
    other.write_text("<mujoco><worldbody><body name='b'><geom size='0.1'/></body></worldbody></mujoco>")
    with pytest.raises(ConfigError, match="lacks the joints"):
        Collision(mjcf=other)
    with pytest.raises(ConfigError, match="collision_margin"):
        Collision(margin=0.0)
