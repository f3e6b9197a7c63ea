"""A virtual WidowX: nine Dynamixel servos that answer on a line as the real ones do, moved by the twin's physics.

`servo` is one servo, `bus` the line with all nine and its faults, `loopback` and `pty` ways to reach it, `motors` and
`physics_link` what the servos turn, `cameras` what drivers open in place of a camera. `world` is all of it in one
process, `client` the way to start and ask it, `control` their language, `fault_injection` what can go wrong.
"""
