"""Connections to Vertex AI and Cloud Storage, calls with retries, and their errors."""
