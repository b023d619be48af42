"""A list of places for one job: which is tried next, in which regions its jobs are looked for, and what it all cost."""
