"""What the local run rehearses of a job beside its script: several machines, and a second start from a checkpoint."""
