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
    from .flows.sweep import asweep, sweep
    from .flows.train import atrain, train
    from .flows.trials.sweep_form import SweepChoices
    from .flows.trials.sweep_result import SweepResult
    from .images.oci.image_types import BuiltImage
    from .project.dependencies.freeze import Lock
    from .project.local_run.verify import VerifyReport
    from .project.snapshot import Project
    from .tasks import build, fetch, freeze, push, receipt, submit, verify, watch
    from .tasks.image_plan import plan_image
    from .vertex.client.connection import Connection
    from .vertex.job_types import JobRequest, Metric, Origin, Outcome, Receipt, SubmittedJob
    from .vertex.submit.submission import job_key

__all__ = [
    "BuiltImage",
    "Connection",
    "ContainerRegistry",
    "JobRequest",
    "Lock",
    "Metric",
    "Origin",
    "Outcome",
    "Project",
    "Receipt",
    "StepReport",
    "SubmittedJob",
    "SweepChoices",
    "SweepResult",
    "TrainingError",
    "TrainingResult",
    "VerifyReport",
    "VertexAI",
    "VertexTrainingJob",
    "VertexTrainingJobRun",
    "asweep",
    "atrain",
    "build",
    "fetch",
    "freeze",
    "job_key",
    "plan_image",
    "push",
    "receipt",
    "submit",
    "sweep",
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
        "atrain": ".flows.train",
        "train": ".flows.train",
        "asweep": ".flows.sweep",
        "sweep": ".flows.sweep",
        "SweepChoices": ".flows.trials.sweep_form",
        "SweepResult": ".flows.trials.sweep_result",
        "BuiltImage": ".images.oci.image_types",
        "Lock": ".project.dependencies.freeze",
        "VerifyReport": ".project.local_run.verify",
        **dict.fromkeys(["build", "fetch", "freeze", "push", "receipt", "submit", "verify", "watch"], ".tasks"),
        "plan_image": ".tasks.image_plan",
        "Project": ".project.snapshot",
        "Connection": ".vertex.client.connection",
        **dict.fromkeys(["JobRequest", "Metric", "Origin", "Outcome", "Receipt", "SubmittedJob"], ".vertex.job_types"),
        "job_key": ".vertex.submit.submission",
    },
)
