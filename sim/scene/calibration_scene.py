"""A table, an arm with wrong joint offsets, and a board: to rehearse calibration where the truth is known.

The board's picture comes from outside; its frame has its origin at the picture's top left corner, x to the right, y
down and z into the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np

from robot.arms.model import ArmModel
from robot.arms.wx250s import WX250S
from robot.control.calibration import Mount
from robot.interfaces import ArmState
from robot.rollout.environment import RobotEnv
from sim.devices import SimArm, SimCamera, SimClock
from sim.physics import TIP_SITE, Physics
from sim.rendering import SceneRenderer
from sim.scene.shapes import VISIBLE_GROUP
from sim.scene.surroundings import add_surroundings
from trajectories.errors import ConfigError
from trajectories.types import Command, Float64, RobotSpec, UInt8

BOARD = "calibration_board"
_THICKNESS_M = 0.003
_HELD_OUT_M = 0.045
"""Middle of a held board in front of the fingers."""
_ON_TABLE = (0.32, 0.0)
_TEXTURE_FACE = np.diag([1.0, -1.0, -1.0])
"""The board's frame in that of the geom whose upper side shows the picture."""


class MisalignedArm(SimArm):
    """The simulated arm as its servos see it with their horns mounted a little off.

    Args:
        physics: The world.
        offsets: (N,) rad: true angle = reported angle + offset.
    """

    def __init__(self, physics: Physics, offsets: Sequence[float]) -> None:
        super().__init__(physics)
        self._offsets = np.array(offsets, dtype=np.float64)

    def read(self) -> ArmState:
        """Joint state with the angles that the servos report."""
        state = super().read()
        return replace(state, joints=state.joints - self._offsets)

    def send(self, command: Command) -> None:
        """Set the servos' goals, in their own angles."""
        super().send(replace(command, joints=command.joints + self._offsets))


class CalibrationScene:
    """The board in the gripper, seen by a fixed camera; or on the table, seen by the camera on the wrist.

    Args:
        picture: uint8 (H, W) of the board.
        board_size: (width, height) of the board, m.
        camera: "front", "side" or "wrist".
        offsets: (N,) rad: true angle = reported angle + offset.
        image_size: Height and width of the pictures, pixels.
        model: Which arm.

    Attributes:
        camera: Name of the camera.
        mount: What the camera is fixed to.
        env: The arm and the camera; the arm reports wrong angles.
        physics: The world.

    Raises:
        ConfigError: When there is no such camera.
    """

    def __init__(
        self,
        picture: UInt8,
        board_size: tuple[float, float],
        camera: str = "front",
        offsets: Sequence[float] | None = None,
        image_size: int = 480,
        model: ArmModel = WX250S,
    ) -> None:
        if camera not in ("front", "side", "wrist"):
            raise ConfigError(f"The twin has cameras front, side and wrist, not {camera!r}.")
        self.camera = camera
        self.mount: Mount = "gripper" if camera == "wrist" else "base"
        self.physics = Physics(_compile(model, picture, board_size, on_table=self.mount == "gripper"), model)
        size = (image_size, image_size)
        self._size = size
        self._renderer = SceneRenderer(self.physics.model, size)
        clock = SimClock(self.physics)
        device = SimCamera(camera, self.physics, self._renderer, size)
        arm = MisalignedArm(self.physics, (0.0,) * model.size if offsets is None else offsets)
        self.env = RobotEnv(
            arm, {camera: device}, clock, RobotSpec(cameras={camera: size}, joints=model.joints), model=model
        )

    @property
    def camera_pose(self) -> Float64:
        """The truth: float64 (4, 4) from the camera's frame (x right, y down, z forward) to the base's or the tip's."""
        self.physics.refresh()
        index = self.physics.model.camera(self.camera).id
        turn = self.physics.data.cam_xmat[index].reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])
        pose = _transform(turn, self.physics.data.cam_xpos[index])
        return np.linalg.inv(self._tip_pose) @ pose if self.mount == "gripper" else pose

    @property
    def board_pose(self) -> Float64:
        """The truth: float64 (4, 4) from the board's frame to the tip's, or to the base for a board on the table."""
        self.physics.refresh()
        geom = self.physics.model.geom(BOARD)
        index, half = geom.id, geom.size
        turn = self.physics.data.geom_xmat[index].reshape(3, 3)
        corner = self.physics.data.geom_xpos[index] + turn @ np.array([-half[0], half[1], half[2]])
        pose = _transform(turn @ _TEXTURE_FACE, corner)
        return pose if self.mount == "gripper" else np.linalg.inv(self._tip_pose) @ pose

    @property
    def focal(self) -> float:
        """The truth: focal length, pixels."""
        fovy = float(self.physics.model.camera(self.camera).fovy[0])
        return 0.5 * self._size[0] / float(np.tan(0.5 * np.radians(fovy)))

    def close(self) -> None:
        """Free what the camera holds."""
        self._renderer.close()

    @property
    def _tip_pose(self) -> Float64:
        return _transform(self.physics.tip_rotation(), self.physics.tip_position())


def _compile(arm: ArmModel, picture: UInt8, board_size: tuple[float, float], on_table: bool) -> mujoco.MjModel:
    """The arm, the table, and the board as a thin plate without weight that nothing collides with."""
    model = mujoco.MjSpec.from_file(str(arm.mjcf))
    add_surroundings(model)
    height, width = picture.shape
    texture = model.add_texture(name=BOARD, type=mujoco.mjtTexture.mjTEXTURE_2D, width=width, height=height, nchannel=3)
    texture.data = np.repeat(picture[:, :, None], 3, axis=2).tobytes()
    material = model.add_material(name=BOARD, specular=0.0, shininess=0.0, emission=0.3)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = BOARD
    half = (0.5 * board_size[0], 0.5 * board_size[1], 0.5 * _THICKNESS_M)
    body, place, turn = model.worldbody, np.array([*_ON_TABLE, half[2]]), np.eye(3)
    if not on_table:
        body = model.body("gripper_link")
        # Gripper down: the picture's upper side towards +x and a little up, its right towards +y.
        place = np.array(model.site(TIP_SITE).pos) + np.array([0.0, 0.0, _HELD_OUT_M])
        slant = 0.5
        normal, right = np.array([-np.sin(slant), 0.0, np.cos(slant)]), np.array([0.0, 1.0, 0.0])
        turn = np.column_stack([right, np.cross(normal, right), normal])
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, turn.ravel())
    body.add_geom(
        name=BOARD, type=mujoco.mjtGeom.mjGEOM_BOX, size=half, pos=place, quat=quaternion, material=BOARD,
        rgba=(1, 1, 1, 1), group=VISIBLE_GROUP, mass=0.0, contype=0, conaffinity=0,
    )  # fmt: skip
    return model.compile()


def _transform(rotation: Float64, position: Float64) -> Float64:
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation, position
    return result
