"""Context of an API call, for error messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallContext:
    """Context of an API call, for error messages.

    Attributes:
        action: The attempted action, as "create the training job".
        resource: The resource of the call: a parent, a job's name, a bucket.
        project: The project's id.
        region: As "europe-west4".
        account: The caller as an IAM member ("serviceAccount:a@b"); empty when unknown.
        local: Whether the call went to local_vertex on this machine.
    """

    action: str
    resource: str
    project: str
    region: str
    account: str = ""
    local: bool = False


LOG_IN = "Run `gcloud auth application-default login`, or give the VertexAI block a GcpCredentials block"
