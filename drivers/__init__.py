"""Real devices behind the interfaces of `robot.interfaces`.

Empty so far: the twin in `sim` is the only robot that Regrasp drives today. Nothing has been tried on hardware.
"""
