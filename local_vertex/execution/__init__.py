"""Runs the jobs of the store: their replicas are Docker containers, or processes over unpacked image layers."""
