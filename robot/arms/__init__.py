"""The arms that sessions can drive, as data: joints, limits, kinematics, collision model, poses."""
