"""Training many runs of one shape in lockstep."""
