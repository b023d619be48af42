"""Removes what the home folder has kept for too long: what is due, and the command."""
