"""The robot controller: interfaces, kinematics, safety, environment, reset-free session, link and actor.

Runs beside the arm on a small computer, so it never imports torch: policies and reward models reach it
through the interfaces in `robot.interfaces`.
"""
