"""Following a job to its end: one poller for all jobs, and its log lines."""
