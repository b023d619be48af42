"""The folder /gcs for processes: buckets below the path where Vertex AI mounts them, without a container."""
