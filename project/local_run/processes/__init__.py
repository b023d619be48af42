"""Processes of the local run: start, end, memory, and what outlives it."""
