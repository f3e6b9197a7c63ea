"""Where independent jobs of a verb run: in processes of this machine, or on the nodes of a Ray cluster."""
