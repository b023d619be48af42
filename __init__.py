"""Takes training code from your machine to a finished Vertex AI job, as retryable Prefect tasks.

    from prefect_vertex_training import train

    result = train("examples/digits", args=["--epochs", "5"])
    print(result.model)

The names below are the package's API. Each is imported when it is first used, so importing the package takes
milliseconds.
"""

from typing import TYPE_CHECKING

from .core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .blocks import ContainerRegistry, VertexAI, VertexTrainingJob, VertexTrainingJobRun
    from .core.errors import TrainingError
    from .core.version import __version__ as __version__
    from .flows.result import StepReport, TrainingResult
    from .flows.train import train
    from .images.oci.image_types import BuiltImage
    from .project.dependencies.freeze import Lock
    from .project.local_run.verify import VerifyReport
    from .tasks import build, fetch, freeze, push, receipt, submit, verify, watch
    from .vertex.job_types import JobRequest, Outcome, Receipt, SubmittedJob

__all__ = [
    "BuiltImage",
    "ContainerRegistry",
    "JobRequest",
    "Lock",
    "Outcome",
    "Receipt",
    "StepReport",
    "SubmittedJob",
    "TrainingError",
    "TrainingResult",
    "VerifyReport",
    "VertexAI",
    "VertexTrainingJob",
    "VertexTrainingJobRun",
    "build",
    "fetch",
    "freeze",
    "push",
    "receipt",
    "submit",
    "train",
    "verify",
    "watch",
]

lazy_names(
    __name__,
    {
        "__version__": ".core.version",
        **dict.fromkeys(["ContainerRegistry", "VertexAI", "VertexTrainingJob", "VertexTrainingJobRun"], ".blocks"),
        "TrainingError": ".core.errors",
        **dict.fromkeys(["StepReport", "TrainingResult"], ".flows.result"),
        "train": ".flows.train",
        "BuiltImage": ".images.oci.image_types",
        "Lock": ".project.dependencies.freeze",
        "VerifyReport": ".project.local_run.verify",
        **dict.fromkeys(["build", "fetch", "freeze", "push", "receipt", "submit", "verify", "watch"], ".tasks"),
        **dict.fromkeys(["JobRequest", "Outcome", "Receipt", "SubmittedJob"], ".vertex.job_types"),
    },
)
