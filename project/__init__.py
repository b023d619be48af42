"""Engine of steps 1 and 2: a project's files, its fingerprint, its dependencies, a run here. No Prefect."""
