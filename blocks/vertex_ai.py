"""A project and region of Vertex AI, with credentials: where training jobs run."""

from __future__ import annotations

import re
from typing import Annotated

from prefect.blocks.core import Block
from prefect_gcp.credentials import GcpCredentials
from pydantic import Field, SecretStr, field_validator

from ..core.errors import VertexError
from ..core.job_fields import (
    ENCRYPTION_KEY,
    LABELS,
    NETWORK,
    PERSISTENT_RESOURCE,
    SERVICE_ACCOUNT,
    TENSORBOARD,
    JobField,
)
from ..vertex.client.connection import Connection
from .form_fields import Number, Plain, Text

LOGO = "https://cdn.sanity.io/images/3ugk85nk/production/10424e311932e31c477ac2b9ef3d53cefbaad708-250x250.png"

_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_ENDPOINT = re.compile(r"unix:/\S+|(https?://)?[\w.-]+(:\d+)?/?|(https?://)?\[[0-9a-f:]+\]:\d+/?")


class VertexAI(Block):
    """A project and region of Vertex AI in which training jobs run.

    Example:
        Load a saved block and look at its jobs:
        ```python
        from prefect_vertex_training.blocks.vertex_ai import VertexAI

        vertex_ai = VertexAI.load("BLOCK_NAME")
        connection = vertex_ai.connection()
        ```
    """

    _block_type_name = "Vertex AI Training"
    _block_type_slug = "vertex-ai-training"
    _logo_url = LOGO  # pyright: ignore[reportAssignmentType]
    _documentation_url = "https://cloud.google.com/vertex-ai/docs/training/create-custom-job"  # pyright: ignore[reportAssignmentType]

    project: str = Field(
        title="Project",
        description="The Google Cloud project's id, such as my-project-123.",
        examples=["my-project-123"],
    )
    region: str = Field(
        title="Region",
        description="Where jobs run, such as europe-west4; the bucket and the registry must be in the same region.",
        examples=["europe-west4"],
    )
    bucket: str = Field(title="Bucket", description="The Cloud Storage bucket for models and other output, by name.")
    credentials: Annotated[GcpCredentials | None, Plain()] = Field(
        default=None,
        title="Credentials",
        description="Credentials of the API calls. Default: this machine's application default credentials.",
    )
    service_account: Text = Field(default=SERVICE_ACCOUNT.default, **SERVICE_ACCOUNT.form)
    network: Text = Field(default=NETWORK.default, **NETWORK.form)
    tensorboard: Text = Field(default=TENSORBOARD.default, **TENSORBOARD.form)
    persistent_resource: Text = Field(default=PERSISTENT_RESOURCE.default, **PERSISTENT_RESOURCE.form)
    encryption_key: Text = Field(default=ENCRYPTION_KEY.default, **ENCRYPTION_KEY.form)
    labels: dict[str, str] = Field(default_factory=dict, **LABELS.form)
    endpoint: Text = Field(
        default=None,
        title="Endpoint",
        description="Another address of the API: a private endpoint, or a local service as host:port or unix:/path.",
    )
    token: Annotated[SecretStr | None, Plain()] = Field(
        default=None, title="Token", description="Access token of a local service on a TCP port."
    )
    settle_seconds: Annotated[Number, Field(ge=0, le=600)] = Field(
        default=None,
        title="Settle window, seconds",
        description="How long to look for a job whose creation got no answer, before another is created. Default: 45.",
    )
    backoff_seconds: Annotated[Number, Field(gt=0, le=300)] = Field(
        default=None,
        title="Longest back-off, seconds",
        description="The longest wait between two tries of a call that gets no answer. Default: 20.",
    )

    @field_validator("project")
    @classmethod
    def _check_project(cls, value: str) -> str:
        return _matching(
            _PROJECT, value, "project", "the project's id (not its name or number), such as my-project-123"
        )

    @field_validator("region")
    @classmethod
    def _check_region(cls, value: str) -> str:
        region, dash, zone = value.rpartition("-")
        if dash and len(zone) == 1 and _REGION.fullmatch(region):
            raise ValueError(f"region {value!r} is a zone: write {region}")
        return _matching(_REGION, value, "region", "a region such as europe-west4")

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, value: str) -> str:
        # People copy gs://NAME/ from the console, which means the same bucket.
        return _matching(_BUCKET, value.removeprefix("gs://").rstrip("/"), "bucket", "a bucket's name without a folder")

    @field_validator("service_account")
    @classmethod
    def _check_service_account(cls, value: str | None) -> str | None:
        return value and _matching_field(SERVICE_ACCOUNT, value)

    @field_validator("network")
    @classmethod
    def _check_network(cls, value: str | None) -> str | None:
        return value and _matching_field(NETWORK, value)

    @field_validator("encryption_key")
    @classmethod
    def _check_encryption_key(cls, value: str | None) -> str | None:
        return value and _matching_field(ENCRYPTION_KEY, value)

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        return value and _matching(_ENDPOINT, value, "endpoint", "host:port, or unix:/path/of/the/socket")

    def in_region(self, region: str, bucket: str) -> VertexAI:
        """The same project in another region: what belongs to a region is left out.

        Raises:
            VertexError: The block's endpoint serves one region.
        """
        endpoint, plain = self.endpoint, self.connection().endpoint.local
        if endpoint and not plain and region != self.region:
            if self.region not in endpoint:
                raise VertexError(
                    f"the block's endpoint serves {self.region} alone, and the fall-back list goes to {region}",
                    where=endpoint,
                    next_step="Remove the endpoint from the VertexAI block, or the place from the list",
                )
            endpoint = endpoint.replace(self.region, region)
        changes = {"region": region, "bucket": bucket, "endpoint": endpoint}
        if region != self.region:
            changes |= {"tensorboard": None, "persistent_resource": None}
        return self.model_copy(update=changes)

    def connection(self) -> Connection:
        """Google's clients for this project and region; nothing is sent yet."""
        credentials = self.credentials.get_credentials_from_service_account() if self.credentials else None
        return Connection.google(
            self.project,
            self.region,
            self.bucket,
            credentials,
            self.endpoint,
            token=self.token.get_secret_value() or None if self.token else None,
            settle=self.settle_seconds,
            backoff=self.backoff_seconds,
        )


def _matching_field(field: JobField[str | None], value: str) -> str:
    return _matching(re.compile(field.pattern), value, field.name, field.rule)


def _matching(pattern: re.Pattern[str], value: str, name: str, wanted: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{name} {value!r} is not valid: write {wanted}")
    return value
