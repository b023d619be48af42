"""What a person configures once: the registry and Vertex AI."""

from .registry import ContainerRegistry
from .training_job import VertexTrainingJob, VertexTrainingJobRun
from .vertex_ai import VertexAI

__all__ = ["ContainerRegistry", "VertexAI", "VertexTrainingJob", "VertexTrainingJobRun"]
