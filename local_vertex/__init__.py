"""A local implementation of Vertex AI custom jobs that Google's clients can use. Does not import Prefect."""
