"""A job as Google's own command line takes it: `gcloud ai custom-jobs create --config`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ..job_types import JobDescription
from .custom_job import to_custom_job

_NO_DIGEST = "sha256:" + "0" * 64
AFTER_BUILD = "(after build)"
"""Stands for the digest of an image that must be built first."""

_PLACEHOLDER = f"not-built@{_NO_DIGEST}"


def spec_document(
    job: JobDescription, image: str | None, *, unbuilt: str, local: bool, mask: Callable[[str, str], str]
) -> dict[str, Any]:
    """The job's CustomJobSpec, by the API's names.

    Args:
        job: The job.
        image: Its image, named by digest; None if it must be built first.
        unbuilt: What is shown for an image that must be built first.
        local: True for a job in local_vertex.
        mask: Returns the text that is shown for a variable's name and value.
    """
    message = to_custom_job(job.with_image(image or _PLACEHOLDER), local=local).job_spec
    document: dict[str, Any] = type(message).to_dict(
        message,
        preserving_proto_field_name=False,
        use_integers_for_enums=False,
        always_print_fields_with_no_presence=False,
    )
    for pool in document.get("workerPoolSpecs", ()):
        if "replicaCount" in pool:
            pool["replicaCount"] = int(pool["replicaCount"])  # 64-bit numbers are texts in Google's JSON
        container = pool.get("containerSpec", {})
        if container.get("imageUri") == _PLACEHOLDER:
            container["imageUri"] = unbuilt
        for variable in container.get("env", ()):
            variable["value"] = mask(variable["name"], variable.get("value", ""))
    return document


def create_command(job: JobDescription, *, project: str, region: str, config: str = "job.yaml") -> str:
    """The command that creates this job from its YAML."""
    words = ["gcloud", "ai", "custom-jobs", "create", f"--project={project}", f"--region={region}"]
    words += [f"--display-name={job.display_name}", f"--config={config}"]
    if job.encryption_key:
        words.append(f"--kms-key={job.encryption_key}")
    if job.labels:
        words.append("--labels=" + ",".join(f"{key}={value}" for key, value in sorted(job.labels.items())))
    return shlex.join(words)


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document as YAML, in the order of its keys."""
    import yaml

    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=10_000)
