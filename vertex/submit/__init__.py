"""Exactly-once submission, attempts and cancellation."""
