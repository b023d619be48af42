"""Checks of what the train flow is given, before Prefect stores it."""
