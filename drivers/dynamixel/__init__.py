"""Dynamixel servos over Protocol 2.0: packets and tables (pure), ports, and the bus that asks and tells.

Pure: `crc`, `packet`, `requests`, `parser`, `replies`, `registers`, `tables`, `units`, `gripper_linkage`, `widowx`.
With devices: `port` (pyserial), `wire` (a request and what comes back), `transactions` (which of it is the answer),
`bus` (registers), `cycle` (the state of all servos).
"""
