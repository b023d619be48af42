"""Google's unmodified SDK with the service: over REST and gRPC with TLS, with scripted and with real jobs."""

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
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle as services
from prefect_vertex_training.local_vertex.endpoint import LocalService

SCRIPT = Path(__file__).with_name("sdk_conformance.py")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks" / "local_vertex"


def load(path: Path) -> Any:
    """Loads a script as a module, because test folders are not packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONFORMANCE = load(SCRIPT)


def outcome(runner: Any, job_id: str) -> None:
    """Ends a job with the result that its Python code would have."""
    command = runner.store.get(job_id).spec["worker_pool_specs"][0]["container_spec"]["command"]
    if command[2] == CONFORMANCE.SUCCEED:
        runner.end(job_id)
    elif command[2] == CONFORMANCE.FAIL:
        text = "The replica workerpool0-0 exited with a non-zero status of 3. Termination reason: Error."
        runner.end(job_id, "JOB_STATE_FAILED", 3, text)


def settings(service: LocalService, **where: Any) -> dict[str, Any]:
    """The SDK's arguments for the service."""
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
    """Over REST, with the token as an OAuth access token."""
    local = start_local(tcp=True)
    local.runner.on_submit = outcome
    CONFORMANCE.init(**settings(local.service, api_endpoint=local.service.rest_url, api_transport="rest"))

    check("oci:/images:demo")


@pytest.mark.parametrize("script", [SCRIPT, SCRIPT.with_name("sdk_tuning.py")], ids=lambda path: path.stem)
@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_with_real_jobs(local_home: Home, tmp_path: Path, transport: str, script: Path) -> None:
    """A real service whose jobs run, custom jobs and tuning jobs; gRPC over TLS with the service's certificate."""
    image = load(BENCHMARKS / "images.py").tiny_image(local_home, tmp_path / "project")
    service = services.ensure_running(local_home, tcp=True, tls=True)
    endpoint = service.tls_target if transport == "grpc" else service.rest_url
    chosen = settings(service, api_endpoint=endpoint, api_transport=transport)
    try:
        done = subprocess.run(
            [sys.executable, str(script), json.dumps({"image": image, "init": chosen, "poll": 0.1})],
            capture_output=True,
            text=True,
            timeout=120,
            # gRPC reads its roots once in a process, and would ask a proxy even for loopback.
            env={
                **os.environ,
                "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(service.tls_certificate),
                "no_grpc_proxy": "localhost",
            },
            check=False,
        )
    finally:
        services.stop(local_home)

    assert done.returncode == 0, done.stderr
    passed = [line for line in done.stdout.splitlines() if line.startswith("passed")]
    sys.modules[SCRIPT.stem] = CONFORMANCE  # where the other script imports it from
    assert passed == [f"passed {check.__name__}" for check in load(script).CHECKS]
