"""A virtual WidowX: nine Dynamixel servos that answer on a line as the real ones do, moved by the twin's physics.

`servo` is one servo, `bus` the line with all nine and its faults, `loopback` and `pty` ways to reach it, `motors` and
`physics_link` what the servos turn.
"""
