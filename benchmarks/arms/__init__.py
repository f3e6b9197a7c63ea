"""What `fleet.py` and `fleet_soak.py` share: actors and a learner as processes, and a network that can be cut."""
