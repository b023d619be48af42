"""Replicas as processes over the unpacked layers of an image."""
