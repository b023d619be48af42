"""The trials of a sweep: their records, each one's own flow run, the loop that runs them, and what it shows."""
