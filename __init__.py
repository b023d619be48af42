"""Takes training code from a person's machine to a finished Vertex AI job, as retryable Prefect tasks."""
