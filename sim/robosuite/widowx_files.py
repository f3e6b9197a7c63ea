"""Our MJCF of the WidowX 250 S in two parts as robosuite wants them: an arm with motors, and a gripper.

robosuite merges files by names: the arm ends in a body `right_hand`, the gripper has a body `eef`, sites `grip_site`,
`grip_site_cylinder` and `ft_frame`, and sensors there; z points out of the fingers. What is seen is in group 1, what
collides in group 0. Classes of defaults are written out, since robosuite doesn't know that one inherits from another.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from robot.arms.model import ArmModel

HAND = "right_hand"
DAMPING_SHARE = 0.1
"""Of our joints' damping. That is the servos' back EMF, which a motor under a torque controller doesn't have."""
_OUTWARD = "0 0.70710678 0 0.70710678"
_HIDDEN = "1 0 0 0"
_WRIST_CAMERA = "eye_in_hand"
_HAND_LINK = "gripper_link"


@dataclass(frozen=True)
class Parts:
    """Texts of two MJCF files.

    Attributes:
        arm: Joints with motors; ends in the body `right_hand`.
        gripper: Two fingers and their actuator, whose control is the gap between them, m.
    """

    arm: str
    gripper: str


def split(model: ArmModel) -> Parts:
    """Take an arm's MJCF apart behind its last joint."""
    root = ET.parse(model.mjcf).getroot()
    _write_out_defaults(root)
    for geom in list(root.iter("geom")):
        geom.set("group", "1")
    world = _child(root, "worldbody")
    last = next(body for body in world.iter("body") if body.get("name") == _HAND_LINK)
    hand = ET.SubElement(last, "body", {"name": HAND, "quat": _OUTWARD})
    gripper = _gripper(last)
    _collide(root)
    for body in gripper:
        _collide(body)
    hand.set("pos", "0 0 0")
    base = world[0]
    base.set("name", "base")
    base.append(
        ET.Element("site", {"name": "right_center", "pos": "0 0 0", "size": "0.004", "group": "1", "rgba": _HIDDEN})
    )
    base.append(_camera("robotview", "0.7 0 0.45", "0.653 0.271 0.271 0.653"))
    motors = ET.Element("actuator")
    for joint in model.joints:
        limit = _by_name(root, "joint", joint).get("actuatorfrcrange", "")
        motors.append(ET.Element("motor", {"name": joint, "joint": joint, "ctrllimited": "true", "ctrlrange": limit}))
    for joint in model.joints:
        element = _by_name(root, "joint", joint)
        element.set("damping", f"{DAMPING_SHARE * float(element.get('damping', '0')):g}")
    finger_motor = next(a for a in _child(root, "actuator") if a.get("name") == "gripper")
    assets = _child(root, "asset")
    arm = _document("wx250s", assets, [world, motors])
    inside = ET.Element("worldbody")
    inside.extend(gripper)
    actuator = ET.Element("actuator")
    actuator.append(finger_motor)
    sensors = ET.fromstring(
        '<sensor><force name="force_ee" site="ft_frame"/><torque name="torque_ee" site="ft_frame"/></sensor>'
    )
    rest = [_child(root, "tendon"), _child(root, "equality")]
    return Parts(arm, _document("wx250s_gripper", assets, [inside, actuator, sensors, *rest]))


def _gripper(link: ET.Element) -> list[ET.Element]:
    """Cut palm and fingers off the last link; they come back inside a body whose z points out of them."""
    body = ET.Element("body", {"name": "right_gripper", "pos": "0 0 0", "quat": _inverse(_OUTWARD)})
    moved = [e for e in link if e.tag in ("geom", "camera") or (e.tag == "body" and e.get("name") != HAND)]
    tip = _by_name(link, "site", "tip")
    for element in [*moved, tip]:
        link.remove(element)
    for element in moved:
        if element.tag == "camera":
            element.set("name", _WRIST_CAMERA)
        body.append(element)
    body.append(ET.Element("inertial", {"pos": "0.048 0 0", "mass": "1e-6", "diaginertia": "1e-9 1e-9 1e-9"}))
    eef = ET.SubElement(body, "body", {"name": "eef", "pos": tip.get("pos", ""), "quat": _OUTWARD})
    shown = {"group": "1", "type": "sphere", "size": "0.004 0.004 0.004", "rgba": "1 0 0 0.5"}
    eef.append(ET.Element("site", {"name": "grip_site", **shown}))
    eef.append(ET.Element("site", {"name": "grip_site_cylinder", **shown, "type": "cylinder", "size": "0.002 0.3"}))
    for axis in "xyz":
        eef.append(ET.Element("site", {"name": f"ee_{axis}", **shown, "rgba": _HIDDEN}))
    body.append(ET.Element("site", {"name": "ft_frame", **shown, "rgba": _HIDDEN}))
    return [body]


def _collide(root: ET.Element) -> None:
    """What touches is seen by a twin of itself, and is itself in the group of what collides."""
    for parent in list(root.iter()):
        for geom in [child for child in parent if child.tag == "geom" and child.get("contype", "0") != "0"]:
            seen = copy.deepcopy(geom)
            seen.set("contype", "0")
            seen.set("name", f"{geom.get('name')}_visual")
            for name in ("condim", "priority", "friction", "solref", "solimp"):
                seen.attrib.pop(name, None)
            parent.append(seen)
            geom.set("group", "0")
            geom.set("conaffinity", "1")
            geom.attrib.pop("material", None)


def _write_out_defaults(root: ET.Element) -> None:
    defaults = root.find("default")
    if defaults is None:
        return
    classes: dict[str, dict[str, dict[str, str]]] = {}

    def collect(node: ET.Element, inherited: dict[str, dict[str, str]]) -> None:
        own = {tag: dict(values) for tag, values in inherited.items()}
        for child in node:
            if child.tag != "default":
                own.setdefault(child.tag, {}).update(child.attrib)
        classes[node.get("class", "main")] = own
        for child in node:
            if child.tag == "default":
                collect(child, own)

    collect(defaults, {})
    root.remove(defaults)
    for element in root.iter():
        values = classes[element.attrib.pop("class", "main")].get(element.tag, {})
        for name, value in values.items():
            element.attrib.setdefault(name, value)


def _document(name: str, assets: ET.Element, parts: list[ET.Element]) -> str:
    root = ET.Element("mujoco", {"model": name})
    root.append(ET.Element("compiler", {"angle": "radian", "autolimits": "true"}))
    root.append(copy.deepcopy(assets))
    root.extend(parts)
    return ET.tostring(root, encoding="unicode")


def _camera(name: str, position: str, quaternion: str) -> ET.Element:
    return ET.Element("camera", {"mode": "fixed", "name": name, "pos": position, "quat": quaternion})


def _inverse(quaternion: str) -> str:
    w, *vector = quaternion.split()
    return " ".join([w, *(f"{-float(v):g}" for v in vector)])


def _child(root: ET.Element, tag: str) -> ET.Element:
    found = root.find(tag)
    if found is None:
        raise ValueError(f"The MJCF has no <{tag}>.")
    return found


def _by_name(root: ET.Element, tag: str, name: str) -> ET.Element:
    return next(element for element in root.iter(tag) if element.get("name") == name)
