"""Vertex AI's and Cloud Logging's API: methods, validation, filters, the gRPC and REST servers."""
