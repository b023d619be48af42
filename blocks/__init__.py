"""What a person configures once: the registry and Vertex AI."""
