"""Training: offline on recorded episodes, and the online learner beside a robot, with its run folder."""
