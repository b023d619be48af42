"""Vertex AI custom jobs on this machine, for Google's own clients. Knows no Prefect."""
