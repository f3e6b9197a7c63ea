"""The fault table: things go wrong on the virtual arm, and the truth of its physics judges what came of it.

`rows` says what is injected and demanded, `play` does one row, `bench` is robot, policy and person, `truth` watches,
`verdicts` judges, `table` prints. Nothing here was tried on hardware.
"""
