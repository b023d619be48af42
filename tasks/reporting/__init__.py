"""What a run shows in Prefect: artifacts, log lines, progress, metrics, events."""
