"""Input devices with which a person moves the arm: SpaceMouse, gamepad, keyboard, leader arm.

`open_device` (device.py) opens one by name; `Takeover` (takeover.py) turns it into the session's `takeover`.
Not yet tried on hardware: tested with a faked spacenavd socket, raw input events through pipes and a pseudo-terminal.
"""
