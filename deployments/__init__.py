"""Schedules and serving of the flows."""
