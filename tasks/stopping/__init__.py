"""Ends a run early: its job is cancelled, and what is left is known to the hook that follows."""
