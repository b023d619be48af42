"""A process that has imported Prefect, and forks for each run: the imports are two of the seconds that a run takes."""
