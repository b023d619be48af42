"""Prefect blocks that a person saves once: a container registry, Vertex AI and a training job."""

from .registry import ContainerRegistry
from .training_job import VertexTrainingJob, VertexTrainingJobRun
from .vertex_ai import VertexAI

__all__ = ["ContainerRegistry", "VertexAI", "VertexTrainingJob", "VertexTrainingJobRun"]
