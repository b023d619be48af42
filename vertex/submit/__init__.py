"""Exactly-once submission of jobs, their attempts, and cancellation."""
