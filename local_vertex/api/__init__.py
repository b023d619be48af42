"""The APIs of Vertex AI and Cloud Logging: methods, validation, filters, and the gRPC and REST servers."""
