"""The WidowX 250 S (and its relatives) behind `robot.interfaces.Arm`: `arm.WidowX`.

Pure: `models`, `settings`, `advice`, `interpolation`, `fold`, `guard`, `gripper`, `statistics`. On the bus: `reading`,
`goals`, `eeprom`, `startup`, `loop` (one cycle of control), `arm` (the thread around it). Not yet tried on hardware.
"""
