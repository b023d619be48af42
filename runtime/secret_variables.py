"""Secret variables of a job: which there are, and the values of those that the job reads from Google's Secret Manager.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access, with the token of the
job's own account from the metadata server: https://cloud.google.com/compute/docs/metadata/overview.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, Mapping, Optional

NAME = "VERTEX_TRAINING_SECRET_ENV"
"""A JSON object: for each secret variable the version that holds its value; empty where the value is already set."""

_METADATA = "computeMetadata/v1/instance/service-accounts/default"
_TRIES = 4
_SECONDS = 10.0
_LONGEST = 1 << 20
"""Bytes of an answer; a secret has at most 65,536: https://cloud.google.com/secret-manager/quotas."""
_CASTAGNOLI = 0x82F63B78


class SecretUnreadable(Exception):
    """A value that can't be read; the message names the variable, the version and what to do, never a value."""


def encode(versions: Mapping[str, str]) -> Dict[str, str]:
    """The variable for a job's environment; nothing without secrets."""
    return {NAME: json.dumps(dict(versions), sort_keys=True)} if versions else {}


def decode(environ: Mapping[str, str]) -> Dict[str, str]:
    """The version of each secret variable; none if the variable isn't set.

    Raises:
        ValueError: The variable is not a JSON object of texts.
    """
    text = environ.get(NAME, "")
    if not text:
        return {}
    versions = json.loads(text)
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise ValueError("not an object of texts")
    return versions


class SecretManager:
    """Reads versions of secrets over REST, as the account of this machine.

    Args:
        environ: The environment. `GCE_METADATA_HOST` names another metadata server, as for Google's libraries, and
            `CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER` another service, as for gcloud.
        sleep: Waits that many seconds.
    """

    def __init__(self, environ: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> None:
        self._metadata = "http://%s/%s" % (environ.get("GCE_METADATA_HOST") or "metadata.google.internal", _METADATA)
        self._endpoint = environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", "").rstrip("/")
        self._sleep = sleep
        self._token = ""

    def values(self, versions: Mapping[str, str]) -> Dict[str, str]:
        """The value of each variable that has a version.

        Raises:
            SecretUnreadable: One can't be read.
        """
        return {name: self._value(name, version) for name, version in versions.items() if version}

    def _value(self, name: str, version: str) -> str:
        if not re.match(r"projects/[^/]+(/locations/[a-z0-9-]+)?/secrets/[^/]+/versions/[^/]+$", version):
            raise SecretUnreadable("%s: %s is not a version of a secret" % (name, version))
        token = self._token or self._read_token(name, version)
        try:
            answer = self._get(
                "%s/v1/%s:access" % (self._service(version), version), {"Authorization": "Bearer " + token}
            )
        except urllib.error.HTTPError as error:
            raise SecretUnreadable(self._refusal(name, version, error.code)) from None
        except OSError as error:
            raise SecretUnreadable("%s: Secret Manager can't be reached: %s" % (name, error)) from None
        try:
            payload = answer["payload"]
            data = base64.b64decode(payload["data"], validate=True)
            if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != crc32c(data):
                raise SecretUnreadable("%s: %s arrived damaged: its checksum differs" % (name, version))
            value = data.decode("utf-8")
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise SecretUnreadable("%s: %s holds no text in UTF-8" % (name, version)) from None
        if "\0" in value:
            raise SecretUnreadable("%s: %s holds a NUL character, which no variable can have" % (name, version))
        return value

    def _service(self, version: str) -> str:
        if self._endpoint:
            return self._endpoint
        region = re.search(r"/locations/([a-z0-9-]+)/", version)
        return "https://secretmanager.%sgoogleapis.com" % ("%s.rep." % region.group(1) if region else "")

    def _read_token(self, name: str, version: str) -> str:
        try:
            self._token = str(self._get(self._metadata + "/token", {"Metadata-Flavor": "Google"})["access_token"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SecretUnreadable(
                "%s: no Google account here to read %s with, the metadata server gave no token (%s). On a machine of"
                " your own set the variable %s where the run is started" % (name, version, error, name)
            ) from None
        return self._token

    def _refusal(self, name: str, version: str, status: int) -> str:
        project, secret = version.split("/secrets/")
        if status in (401, 403):
            return (
                "%s: the job's account may not read %s. Grant it: gcloud secrets add-iam-policy-binding %s"
                " --project=%s --member=serviceAccount:%s --role=roles/secretmanager.secretAccessor"
                % (name, version, secret.split("/")[0], project.split("/")[1], self._account())
            )
        if status == 404:
            return "%s: there is no %s. Create the secret, or correct secret-env" % (name, version)
        if status == 400:
            return "%s: %s can't be read: it is disabled or destroyed. Name another version" % (name, version)
        return "%s: Secret Manager answered %d for %s. Try again later" % (name, status, version)

    def _account(self) -> str:
        try:
            body = _read(self._metadata + "/email", {"Metadata-Flavor": "Google"})
            return body.decode("utf-8", "replace").strip()
        except OSError:
            return "ACCOUNT"

    def _get(self, url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
        """The JSON that a URL answers; tried again where the next answer may be another one."""
        for attempt in range(1, _TRIES + 1):
            try:
                return json.loads(_read(url, headers).decode("utf-8"))
            except urllib.error.HTTPError as error:
                if attempt == _TRIES or (error.code < 500 and error.code != 429):
                    raise
            except OSError:
                if attempt == _TRIES:
                    raise
            self._sleep(2.0 ** (attempt - 1) / 2)
        raise AssertionError("the last try returns or raises")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which would carry the token to another host."""

    def redirect_request(self, *_args: object, **_options: object) -> Optional[urllib.request.Request]:
        return None


def _read(url: str, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - http(s), from this module
    with _opener(url).open(request, timeout=_SECONDS) as answer:
        return bytes(answer.read(_LONGEST))


def _opener(url: str) -> urllib.request.OpenerDirector:
    """The metadata server is on this machine: never through a proxy."""
    handlers = [_NoRedirect()]  # type: list[urllib.request.BaseHandler]
    if url.startswith("http://"):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def crc32c(data: bytes) -> int:
    """The checksum that Secret Manager sends with a value: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (_CASTAGNOLI if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF
