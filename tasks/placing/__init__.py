"""Finds or creates a job over all regions of a fall-back list."""
