"""The variables that lead clients of Cloud Storage in a job or a script to the storage server, not to Google's.

- google-cloud-storage and gcsfs read `STORAGE_EMULATOR_HOST`; gcsfs would first ask a real host about each bucket.
- Arrow and pandas' Parquet read `CLOUD_STORAGE_EMULATOR_ENDPOINT`, and need credentials nevertheless.
- gcloud reads `CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE`, but neither `GOOGLE_APPLICATION_CREDENTIALS` nor the address
  for tokens in that file.
- Credentials are a service account that doesn't exist, whose key was made here: a client that knows none of these
  variables is refused by Google, instead of writing to a real bucket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...core.atomic_files import write_atomic

EMULATOR_HOST = "STORAGE_EMULATOR_HOST"
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


def storage_variables(url: str, credentials: str, project: str) -> dict[str, str]:
    """The variables of a job or script.

    Args:
        url: The server's endpoint, from where the script runs.
        credentials: The path of the credentials, where the script runs.
        project: The project's id.
    """
    return {
        EMULATOR_HOST: url,
        "CLOUD_STORAGE_EMULATOR_ENDPOINT": url,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/storage/v1/",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        CREDENTIALS: credentials,
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": credentials,
        "CLOUDSDK_AUTH_TOKEN_HOST": f"{url}/_storage/token",
        "CLOUDSDK_CORE_PROJECT": project,
        "GOOGLE_CLOUD_PROJECT": project,
    }


def without_proxy(env: Mapping[str, str], host: str) -> dict[str, str]:
    """`no_proxy` in both spellings, with the server's host: clients would ask a proxy for it."""
    found = env.get("no_proxy") or env.get("NO_PROXY") or ""
    hosts = [part for part in found.split(",") if part.strip()]
    value = ",".join(dict.fromkeys([*hosts, host, "localhost"]))
    return {"no_proxy": value, "NO_PROXY": value}


def make_credentials(folder: Path, url: str, project: str) -> Path:
    """The file with the credentials; made once, with a key that nobody knows elsewhere."""
    path = folder / "credentials.json"
    try:
        if json.loads(path.read_text())["token_uri"].startswith(url):
            return path
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    # Small, because nothing trusts it: a larger one takes six times as long.
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    values = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "local",
        "private_key": pem.decode(),
        "client_email": f"training@{project}.iam.gserviceaccount.com",
        "client_id": "100000000000000000000",
        "token_uri": f"{url}/_storage/token",
    }
    write_atomic(path, json.dumps(values))
    path.chmod(0o644)  # a container may run it as another user; the home above is closed to others of this machine
    return path
