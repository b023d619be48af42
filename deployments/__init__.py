"""Deployments of the flow: on a work pool, or served by this process."""
