"""Names and numbers of Linux input events (include/uapi/linux/input-event-codes.h), as far as they are used."""

from __future__ import annotations

EV_SYN, EV_KEY, EV_ABS = 0, 1, 3
SYN_REPORT, SYN_DROPPED = 0, 3

ABSOLUTE = {
    "ABS_X": 0, "ABS_Y": 1, "ABS_Z": 2, "ABS_RX": 3, "ABS_RY": 4, "ABS_RZ": 5, "ABS_THROTTLE": 6, "ABS_RUDDER": 7,
    "ABS_GAS": 9, "ABS_BRAKE": 10, "ABS_HAT0X": 16, "ABS_HAT0Y": 17,
}  # fmt: skip
BUTTONS = {
    "BTN_SOUTH": 304, "BTN_EAST": 305, "BTN_C": 306, "BTN_NORTH": 307, "BTN_WEST": 308, "BTN_Z": 309, "BTN_TL": 310,
    "BTN_TR": 311, "BTN_TL2": 312, "BTN_TR2": 313, "BTN_SELECT": 314, "BTN_START": 315, "BTN_MODE": 316,
    "BTN_THUMBL": 317, "BTN_THUMBR": 318, "BTN_DPAD_UP": 544, "BTN_DPAD_DOWN": 545, "BTN_DPAD_LEFT": 546,
    "BTN_DPAD_RIGHT": 547,
}  # fmt: skip
_ROWS = {2: "1234567890", 16: "QWERTYUIOP", 30: "ASDFGHJKL", 44: "ZXCVBNM"}
KEYS = {
    "KEY_ESC": 1, "KEY_MINUS": 12, "KEY_EQUAL": 13, "KEY_BACKSPACE": 14, "KEY_TAB": 15, "KEY_ENTER": 28,
    "KEY_LEFTCTRL": 29, "KEY_SEMICOLON": 39, "KEY_LEFTSHIFT": 42, "KEY_COMMA": 51, "KEY_DOT": 52, "KEY_SLASH": 53,
    "KEY_RIGHTSHIFT": 54, "KEY_LEFTALT": 56, "KEY_SPACE": 57, "KEY_CAPSLOCK": 58, "KEY_HOME": 102, "KEY_UP": 103,
    "KEY_PAGEUP": 104, "KEY_LEFT": 105, "KEY_RIGHT": 106, "KEY_END": 107, "KEY_DOWN": 108, "KEY_PAGEDOWN": 109,
    "KEY_INSERT": 110, "KEY_DELETE": 111,
    **{f"KEY_{letter}": first + i for first, row in _ROWS.items() for i, letter in enumerate(row)},
}  # fmt: skip
ABSOLUTE_NAMES = {code: name for name, code in ABSOLUTE.items()}
KEY_NAMES = {code: name for name, code in (BUTTONS | KEYS).items()}
