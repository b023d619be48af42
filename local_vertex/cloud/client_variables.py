"""The environment in which a program takes this machine for Google's cloud, with nothing in its code changed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from typing import Literal

from ...core.errors import LocalServiceError
from ..endpoint import LocalService

Format = Literal["sh", "fish", "dotenv", "json"]

REMOVED = (
    # Real credentials: a client would send them instead of asking the metadata server.
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_USE_CLIENT_CERTIFICATE", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"),
    *("CLOUDSDK_CORE_ACCOUNT", "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT"),
    # Other proxies and endpoints.
    *("HTTPS_PROXY", "NO_PROXY", "grpc_proxy", "no_grpc_proxy", "NO_GCE_CHECK"),
    *("STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT", "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"),
)
"""Variables that a program must not have."""

_LOCAL = ("localhost", "127.0.0.1", "::1")


def variables(service: LocalService, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to set.

    Args:
        service: A service that was started with `--as-cloud`.
        environment: The present variables; what they exempt from the proxy stays exempt, except Google's hosts.

    Raises:
        LocalServiceError: It was started without.
    """
    proxy, metadata, authorities = service.proxy, service.metadata, service.authorities
    if proxy is None or metadata is None or authorities is None:
        raise LocalServiceError(
            "the running service was started without --as-cloud",
            where=f"process {service.pid}",
            next_step="Stop it with `vertex-training local stop`, then start it with that; running jobs go on",
        )
    exempt = _exempt(environment.get("no_proxy") or environment.get("NO_PROXY") or "")
    # The whole names matter: each of these is read by some client (Python's and Node's, curl, Go, gcloud).
    return {
        "https_proxy": proxy,
        "HTTPS_PROXY": proxy,
        "no_proxy": exempt,
        "NO_PROXY": exempt,
        **dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"), authorities
        ),
        "NODE_EXTRA_CA_CERTS": authorities,
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": authorities,
        "GCE_METADATA_HOST": metadata,
        "GCE_METADATA_IP": metadata,
        "GCE_METADATA_ROOT": metadata,
        "METADATA_SERVER_DETECTION": "assume-present",
        "GOOGLE_CLOUD_PROJECT": service.project,
        "GCLOUD_PROJECT": service.project,
        "GOOGLE_CLOUD_REGION": service.region,
        "CLOUDSDK_CORE_PROJECT": service.project,
        "CLOUDSDK_AI_REGION": service.region,
        "CLOUDSDK_CONFIG": str(service.buckets.parent / "cloud" / "gcloud"),
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(service.token_file),
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        # gcsfs, and with it fsspec and pandas, heeds proxies only where it is told to; and it would ask for a minute
        # over gRPC whether a bucket has folders.
        "FSSPEC_GCS": '{"session_kwargs":{"trust_env":true}}',
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def changed(service: LocalService, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment for a program.

    Raises:
        LocalServiceError: The service was started without `--as-cloud`.
    """
    kept = {name: value for name, value in environment.items() if name not in REMOVED}
    return kept | variables(service, environment)


def shown(service: LocalService, form: Format, environment: Mapping[str, str] = os.environ) -> str:
    """The variables as text: for `eval` in a shell, for fish's `source`, as NAME=VALUE lines, or as JSON.

    Raises:
        LocalServiceError: The service was started without `--as-cloud`.
    """
    values = variables(service, environment)
    if form == "json":
        return json.dumps(values, indent=2)
    if form == "dotenv":
        return "\n".join(f"{name}={value}" for name, value in values.items())
    removed = [name for name in REMOVED if name not in values]
    if form == "fish":  # it has no `unset`
        lines = [f"set -gx {name} {_fish_quoted(value)}" for name, value in values.items()]
        return "\n".join([f"set -e {' '.join(removed)}", *lines])
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, f"unset {' '.join(removed)}"])


def _fish_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _exempt(present: str) -> str:
    kept = [name.strip() for name in present.split(",")]
    others = [name for name in kept if name and name != "*" and "googleapis" not in name and name not in _LOCAL]
    return ",".join([*_LOCAL, *others])
