"""Real devices behind the interfaces of `robot.interfaces`: servos, cameras, teleoperation.

Everything here was tried on virtual devices only (`sim.virtual`), nothing on hardware yet.
"""
