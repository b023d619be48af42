"""Runs replicas as Docker containers."""
