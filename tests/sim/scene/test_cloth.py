"""The cloth of a scene: it is moved by friction alone, stays whole under a rough hand, and everything knows of it."""

import mujoco
import numpy as np
import pytest
from helpers.cloth_limits import CAREFUL, CARELESS, Watch
from helpers.rough_hand import RoughHand

from robot.control.home import action_towards
from robot.control.pose import Pose
from sim.physics import Physics
from sim.rendering import SceneRenderer
from sim.scene.cloth import COLUMNS, RADIUS, ROWS, TAG_CENTRE
from sim.scene.scene import Scene
from sim.scene.spec import ClothSpec, ObjectSpec, SceneSpec
from sim.tasks.cloth import half_folded, in_folds
from sim.twin import make_twin
from trajectories.errors import ConfigError, SafetyError

SPEC = SceneSpec((), (ObjectSpec("cube", "cube", (0.34, 0.12)),), ClothSpec("cloth"))


@pytest.fixture(scope="module")
def scene():
    scene = Scene(SPEC, randomise=False)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("cloth_folding", seed=0, cameras=(), randomise=False, spread="narrow")
    yield twin
    twin.close()


def pass_time(scene, seconds):
    scene.clock.sleep_until_ns(scene.clock.now_ns() + round(seconds * 1e9))


def go(twin, place, is_open, steps=12):
    goal = Pose.of(tuple(float(v) for v in place), (0.0, 0.0, 0.0))
    for _ in range(steps):
        action, arrived = action_towards(twin.env.target.pose, goal, twin.env.robot_spec.action_scale, 1.0, is_open)
        twin.env.apply(action)
        if arrived:
            return


def grip(twin, aside=0.0, is_open=False):
    """Go down around the tag, or beside it, close there and rise by 8 cm."""
    twin.reset("forward", np.random.default_rng(0))
    x, y, z = twin.scene.cloth.tag()
    go(twin, (x, y + aside, 0.07), True)
    go(twin, (x, y + aside, max(z, 0.013)), True)
    for _ in range(3):
        twin.env.apply(np.array([0, 0, 0, 0, 0, 0, 1.0 if is_open else -1.0], np.float32))
    go(twin, (x - 0.03, y + aside, 0.09), is_open)


def test_the_tag_is_lifted_by_the_closed_gripper_alone_and_falls_from_the_open_one(twin):
    grip(twin)
    assert twin.scene.cloth.tag()[2] > 0.07
    assert twin.scene.cloth.touched_by("left_finger_link")
    assert twin.scene.cloth.touched_by("right_finger_link")
    for _ in range(8):
        twin.env.apply(np.array([0, 0, 0, 0, 0, 0, 1], np.float32))
    assert twin.scene.cloth.tag()[2] < 0.02
    assert not twin.scene.cloth.touched_by("left_finger_link", "right_finger_link")


def test_an_open_gripper_and_a_slippery_tag_lift_nothing(twin):
    grip(twin, is_open=True)
    assert twin.scene.cloth.tag()[2] < 0.02
    model = twin.scene.physics.model
    tag, rough = model.geom("cloth/tag").id, (model.geom_friction.copy(), model.flex_friction.copy())
    model.geom_friction[tag], model.flex_friction[0] = 2e-3, 2e-3
    grip(twin)
    model.geom_friction[:], model.flex_friction[:] = rough
    assert twin.scene.cloth.tag()[2] < 0.03


def test_ten_thousand_steps_under_a_rough_hand_break_no_limit():
    twin = make_twin("cube_covering", seed=0, cameras=())
    hand, watch = RoughHand(twin, seed=0), Watch(twin.scene)
    before = twin.scene.physics.now_ns
    for _ in range(100):
        hand.step()
        watch.look()
    steps = (twin.scene.physics.now_ns - before) / 1e9 / twin.scene.physics.model.opt.timestep
    assert steps >= 10_000
    assert watch.broken(CARELESS) == []
    assert watch.figures()["stretch"] > 1.05, "the hand never pulled at the cloth"
    twin.close()


def test_a_cloth_that_lies_stays_where_it_is_and_on_the_table(scene):
    scene.rest()
    watch = Watch(scene)
    pass_time(scene, 1.0)
    nodes = scene.cloth.nodes()
    for _ in range(10):
        pass_time(scene, 0.2)
        watch.look()
    assert np.abs(scene.cloth.nodes() - nodes).max() < 2e-4
    assert watch.broken(CAREFUL) == []
    assert watch.figures()["energy"] < 1e-7
    assert np.abs(nodes[..., 2] - RADIUS).max() < 3e-4


def test_a_cloth_that_falls_onto_a_cube_stays_above_it(scene):
    scene.rest()
    scene.place("cube", (0.28, 0.0, 0.0), 0.3)
    nodes = scene.cloth.lay((0.28, 0.0), 0.1)
    nodes[..., 2] += 0.06
    scene.cloth.put(nodes)
    pass_time(scene, 1.5)
    above, height = scene.cloth.covered([scene.physics.body_pose("cube")[0][:2]])
    assert above.all()
    assert scene.object("cube").height < height[0] < scene.object("cube").height + 3 * RADIUS


def test_what_it_covers_is_measured_from_above(scene):
    scene.rest()
    cloth = scene.cloth
    assert cloth.shadow() == pytest.approx(cloth.area, rel=0.06)
    cloth.put(in_folds(cloth, (0.28, 0.0), 0.4, half_folded(ROWS // 2)))
    assert cloth.shadow() == pytest.approx(cloth.area / 2, rel=0.08)
    cloth.put(cloth.lay((0.28, 0.0), 0.0))
    above, height = cloth.covered([(0.28, 0.0), (0.28 + 0.069, 0.084), (0.28 + 0.072, 0.0)])
    assert above.tolist() == [True, True, False]
    np.testing.assert_allclose(height[:2], RADIUS)
    assert height[2] == -np.inf


def test_an_impossible_state_is_an_error_until_the_scene_is_reset():
    scene = Scene(SPEC, randomise=False)
    scene.physics.data.qvel[-1] = 1e12
    for _ in range(2):
        with pytest.raises(SafetyError, match="became unstable"):
            pass_time(scene, 0.01)
    scene.rest()
    pass_time(scene, 0.01)
    assert scene.physics.data.warning[mujoco.mjtWarning.mjWARN_BADQVEL].number == 0
    scene.close()


def test_a_cloth_that_would_come_to_rest_through_an_impossible_state_is_an_error_until_the_scene_is_reset():
    scene = Scene(SPEC, randomise=False)
    scene.physics.data.qvel[scene.cloth._qvel[7]] = 1e12
    nodes = scene.cloth.nodes()
    with pytest.raises(SafetyError, match="became unstable"):
        scene.cloth.settle(0.5)
    np.testing.assert_array_equal(scene.cloth.nodes(), nodes)  # and not where MuJoCo's reset puts it
    scene.physics.data.qvel[:] = 0.0
    with pytest.raises(SafetyError, match="became unstable"):
        pass_time(scene, 0.01)
    scene.rest()
    scene.cloth.settle(0.5)
    pass_time(scene, 0.01)
    scene.close()


def test_foreseeing_knows_the_cloth_and_changes_nothing(scene):
    scene.rest()
    nodes = scene.cloth.lay((0.28, 0.0), 0.0)
    nodes[..., 2] += 0.03
    scene.cloth.put(nodes)
    pass_time(scene, 0.02)
    before, now = scene.physics.data.qpos.copy(), scene.physics.now_ns
    foreseen = scene.cloth.nodes(100_000_000)
    np.testing.assert_array_equal(scene.physics.data.qpos, before)
    assert scene.physics.now_ns == now
    pass_time(scene, 0.1)
    np.testing.assert_allclose(scene.cloth.nodes(), foreseen, atol=1e-9)
    assert np.abs(foreseen - nodes).max() > 0.003


def test_the_same_seed_gives_the_same_cloth_and_another_one_another():
    drawn = []
    for seed in (4, 4, 5):
        twin = make_twin("cube_covering", seed=0, cameras=())
        twin.reset("forward", np.random.default_rng(seed))
        model = twin.scene.physics.model
        drawn.append(np.concatenate([twin.scene.cloth.nodes().ravel(), model.flex_rgba[0], model.flex_friction[0]]))
        twin.close()
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 0.01


def test_a_cloth_is_seen_where_it_is_in_colours_and_weaves_that_vary(scene):
    scene.rest()
    renderer = SceneRenderer(scene.physics.model, (96, 96))
    bare = scene.cloth.lay((5.28, 0.0), 0.0)
    looker = Physics(scene.physics.model)  # as the virtual cameras look: positions are copied to it
    seen, weaves = [], set()
    for seed in range(6):
        scene.randomise(np.random.default_rng(seed))
        with_cloth = renderer.render(scene.physics, "front", (96, 96)).astype(int)
        looker.copy_positions(scene.physics)
        np.testing.assert_array_equal(renderer.render(looker, "front", (96, 96)), with_cloth)
        scene.cloth.put(bare)
        without = renderer.render(scene.physics, "front", (96, 96)).astype(int)
        mask = np.abs(with_cloth - without).max(axis=2) > 12
        assert 0.05 < mask.mean() < 0.5
        seen.append(with_cloth[mask].mean(axis=0))
        weaves.add(int(scene.physics.model.flex_matid[0]))
    renderer.close()
    assert np.ptp(seen, axis=0).max() > 40
    assert len(weaves) > 1


def test_places_that_can_not_be_are_refused_and_scenes_without_a_cloth_say_so(scene):
    for wrong in (np.zeros((ROWS, COLUMNS, 2)), np.full((ROWS, COLUMNS, 3), np.nan), np.full((ROWS, COLUMNS, 3), -1.0)):
        with pytest.raises(ConfigError, match="finite places above the table"):
            scene.cloth.put(wrong)
    plain = Scene(SceneSpec((), (ObjectSpec("cube", "cube"),)), randomise=False)
    assert (plain.physics.model.nflex, plain.physics.model.opt.timestep) == (0, 0.004)
    with pytest.raises(ConfigError, match="no cloth"):
        _ = plain.cloth
    with pytest.raises(ConfigError, match="different names"):
        Scene(SceneSpec((), (ObjectSpec("cloth", "cube"),), ClothSpec("cloth")))
    assert scene.cloth.tag()[2] >= TAG_CENTRE
