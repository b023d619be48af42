"""Where a call was made, for the messages of those that fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a call was made, for messages.

    Attributes:
        action: What was tried, as "create the training job".
        resource: What it was tried on: a parent, a job's name, a bucket.
        project: The project's id.
        region: As "europe-west4".
        account: Who asked, as IAM writes it ("serviceAccount:a@b"); empty when unknown.
        local: The call went to local_vertex on this machine.
    """

    action: str
    resource: str
    project: str
    region: str
    account: str = ""
    local: bool = False


LOG_IN = "Run `gcloud auth application-default login`, or give the VertexAI block a GcpCredentials block"
