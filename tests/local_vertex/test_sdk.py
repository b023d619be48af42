"""Google's unmodified SDK against the service: REST, and gRPC with TLS."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("sdk_conformance.py")


def load() -> Any:
    """The script as a module: test folders are no packages."""
    spec = importlib.util.spec_from_file_location("sdk_conformance", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONFORMANCE = load()


def outcome(runner: Any, job_id: str) -> None:
    """Ends a job as its line of Python would."""
    command = runner.store.get(job_id).spec["worker_pool_specs"][0]["container_spec"]["command"]
    if command[2] == CONFORMANCE.SUCCEED:
        runner.end(job_id)
    elif command[2] == CONFORMANCE.FAIL:
        text = "The replica workerpool0-0 exited with a non-zero status of 3. Termination reason: Error."
        runner.end(job_id, "JOB_STATE_FAILED", 3, text)


def settings(local: Any, **where: str) -> dict[str, Any]:
    """How the SDK is pointed at the service."""
    service = local.service
    bucket = f"gs://{service.bucket}"
    return {
        "project": service.project,
        "location": service.region,
        "staging_bucket": bucket,
        "token": service.token,
        **where,
    }


@pytest.mark.parametrize("check", CONFORMANCE.CHECKS, ids=lambda check: check.__name__)
def test_over_rest(start_local: Callable[..., Any], check: Callable[[str], None]) -> None:
    """With the token as an OAuth access token."""
    local = start_local(tcp=True)
    local.runner.on_submit = outcome
    CONFORMANCE.init(**settings(local, api_endpoint=local.service.rest_url, api_transport="rest"))

    check("oci:/images:demo")


def test_over_grpc_with_tls(start_local: Callable[..., Any]) -> None:
    """With the certificate that the service made; in a process of its own, for gRPC reads its roots once."""
    local = start_local(tcp=True, tls=True)
    local.runner.on_submit = outcome
    chosen = settings(local, api_endpoint=local.service.tls_target, api_transport="grpc")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps({"image": "oci:/images:demo", "init": chosen})],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": local.service.tls_certificate,
            "no_grpc_proxy": "localhost",
        },
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"passed {CONFORMANCE.CHECKS[-1].__name__}"
