"""Checks a job against Vertex AI's limits, and translates it into Google's CustomJob message."""
