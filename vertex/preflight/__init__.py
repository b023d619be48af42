"""Checks against a Google Cloud project before anything is built: services, rights, quotas and places."""
