"""The step that follows a tuning job of Vertex AI."""
