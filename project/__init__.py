"""Engine of steps 1 and 2: a project's files, its fingerprint, its dependencies, a local run. Knows no Prefect."""
