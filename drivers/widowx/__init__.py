"""The WidowX 250 S (and its relatives) behind `robot.interfaces.Arm`: `process.ProcessArm`, `arm.WidowX`.

Pure: `models`, `settings`, `mode`, `fault_messages`, `interpolation`, `sleep_motion`, `guard`, `gripper`, `health`,
`histogram`, `statistics`.
On the bus: `reading`, `goals`, `eeprom`, `startup`, `loop` (one cycle of control), `arm` (the thread around it). In a
process of its own: `child` (its main loop), `arm_server` (the arm there), `shared_block`, `claim` (who has the arm),
`arm_process` and `process` (the session's side). Not yet tried on hardware.
"""
