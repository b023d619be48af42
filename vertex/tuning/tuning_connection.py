"""A connection whose jobs are hyperparameter tuning jobs, so that they are submitted, found and cancelled as others.

A tuning job has the same name, state, labels, times and error as a custom job, and the same calls. It differs in what
is created: the custom job becomes that of every trial, beside the study.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..client.connection import Connection

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob, HyperparameterTuningJob, JobServiceClient


class TuningConnection(Connection):
    """A connection for tuning jobs.

    Args:
        connection: The connection to the same service for custom jobs.
        tuning: The tuning job without its trials' custom job.
    """

    def __init__(self, connection: Connection, tuning: HyperparameterTuningJob) -> None:
        super().__init__(lambda: connection.endpoint, connection.pace)
        self.custom = connection
        self._tuning = tuning
        self.jobs_in_one = max(1, tuning.max_trial_count)

    @property
    def jobs(self) -> JobServiceClient:
        """Google's client, whose methods for custom jobs are those for tuning jobs."""
        return cast("JobServiceClient", _TuningClient(self.custom.jobs, self._tuning))

    def reset(self) -> None:
        """As `Connection.reset`, also of the connection for custom jobs."""
        super().reset()
        self.custom.reset()

    def cancel_command(self, name: str) -> str:
        """The shell command that cancels a tuning job."""
        command = super().cancel_command(name)
        return command.replace("gcloud ai custom-jobs cancel", "gcloud ai hp-tuning-jobs cancel")


class _Page(NamedTuple):
    """A page of a list."""

    custom_jobs: list[HyperparameterTuningJob]


class _Pages(NamedTuple):
    """A list, page by page."""

    pages: Iterator[_Page]


class _TuningClient:
    """The methods of Google's client that this package uses for jobs."""

    def __init__(self, client: JobServiceClient, tuning: HyperparameterTuningJob) -> None:
        self._client = client
        self._tuning = tuning

    def create_custom_job(self, *, parent: str, custom_job: CustomJob, **options: Any) -> HyperparameterTuningJob:  # noqa: ANN401
        """Creates the tuning job with this job for every trial."""
        from google.cloud.aiplatform_v1.types import HyperparameterTuningJob

        job = HyperparameterTuningJob(self._tuning)
        job.display_name = custom_job.display_name
        job.labels = dict(custom_job.labels)
        job.trial_job_spec = custom_job.job_spec
        return self._client.create_hyperparameter_tuning_job(parent=parent, hyperparameter_tuning_job=job, **options)

    def get_custom_job(self, *, name: str, **options: Any) -> HyperparameterTuningJob:  # noqa: ANN401
        """Reads a tuning job."""
        return self._client.get_hyperparameter_tuning_job(name=name, **options)

    def list_custom_jobs(self, *, request: dict[str, Any], **options: Any) -> _Pages:  # noqa: ANN401
        """Lists tuning jobs."""
        found = self._client.list_hyperparameter_tuning_jobs(request=request, **options)
        return _Pages(_Page(list(page.hyperparameter_tuning_jobs)) for page in found.pages)

    def cancel_custom_job(self, *, name: str, **options: Any) -> None:  # noqa: ANN401
        """Cancels a tuning job."""
        self._client.cancel_hyperparameter_tuning_job(name=name, **options)
