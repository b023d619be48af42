"""Checkpoints of a request: where they lie, whose they are, and how they reach the folder of another run or region."""
