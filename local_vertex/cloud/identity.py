"""What Google tells a program about itself: the metadata server, and the hosts for tokens, accounts and projects."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ...core.security.parsed_text import parse_json
from ..location import Locations, project_number

_TOKEN_SECONDS = 3599
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_JSON, _TEXT = "application/json; charset=UTF-8", "application/text"
_V1 = "/computeMetadata/v1/"


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """The account that programs on this machine run as.

    Attributes:
        token: The service's token, which takes the place of an access token.
        locations: The projects and regions of the service; a program is in the first.
    """

    token: str
    locations: Locations

    @property
    def email(self) -> str:
        """The account: the default one of Compute Engine."""
        return f"{self.locations.default.project_number}-compute@developer.gserviceaccount.com"

    def metadata(self, path: str) -> Answer:
        """An answer of the metadata server (https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys).

        Args:
            path: Path and query.
        """
        url = urlsplit(path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        if not url.path.startswith(_V1):
            return Answer(200, _TEXT, b"computeMetadata/\n") if url.path in {"/", "/computeMetadata/"} else _missing()
        name = url.path.removeprefix(_V1)
        account = re.fullmatch(r"instance/service-accounts/(?P<account>[^/]+)/(?P<rest>.*)", name)
        if account and account["account"] in {"default", self.email}:
            return self._account(account["rest"], query)
        value = self._values().get(name)
        if value is None:
            return _missing()
        if name == "instance/service-accounts/" and query.get("recursive") == "true":
            return json_answer({"default": self._described(), self.email: self._described()})
        return Answer(200, _TEXT, value.encode())

    def host(self, method: str, host: str, path: str, body: bytes) -> Answer:
        """An answer of one of Google's hosts for identity.

        Args:
            method: For example "POST".
            host: For example "oauth2.googleapis.com".
            path: Path and query.
            body: The request's body.
        """
        where = urlsplit(path).path
        for pattern, answer in self._hosts().items():
            found = re.fullmatch(pattern, f"{method} {host.partition(':')[0].lower()}{where}")
            if found:
                return answer(found, body)
        return error_answer(501, "UNIMPLEMENTED", f"{method} https://{host}{where} is not served on this machine")

    # The metadata server

    def _values(self) -> dict[str, str]:
        here = self.locations.default
        return {
            "project/project-id": here.project_id,
            "project/numeric-project-id": here.project_number,
            "instance/zone": f"projects/{here.project_number}/zones/{here.region}-a",
            "instance/region": f"projects/{here.project_number}/regions/{here.region}",
            "instance/id": "1",
            "instance/name": "local-vertex",
            "instance/hostname": f"local-vertex.c.{here.project_id}.internal",
            "instance/machine-type": f"projects/{here.project_number}/machineTypes/n1-standard-4",
            "instance/attributes/": "",
            "instance/service-accounts/": f"default/\n{self.email}/\n",
            "instance/service-accounts": f"default/\n{self.email}/\n",
            "universe/universe-domain": "googleapis.com",
            "universe/universe_domain": "googleapis.com",
        }

    def _account(self, name: str, query: Mapping[str, str]) -> Answer:
        if name == "token":
            return json_answer({"access_token": self.token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"})
        if name == "identity":
            return Answer(200, _TEXT, self._id_token(query.get("audience", "")).encode())
        texts = {"email": self.email, "scopes": "\n".join(_SCOPES), "aliases": "default"}
        if name in texts:
            return Answer(200, _TEXT, texts[name].encode())
        if name == "" and query.get("recursive") == "true":
            return json_answer(self._described())
        return Answer(200, _TEXT, b"aliases\nemail\nidentity\nscopes\ntoken\n") if name == "" else _missing()

    def _described(self) -> dict[str, Any]:
        return {"aliases": ["default"], "email": self.email, "scopes": list(_SCOPES)}

    def _id_token(self, audience: str) -> str:
        """A token of the form of an identity token; it has no signature that anybody could check."""
        now = int(time.time())
        claims = {"aud": audience, "email": self.email, "iss": "https://accounts.google.com", "sub": "1"}
        parts = ({"alg": "none", "typ": "JWT"}, {**claims, "iat": now, "exp": now + _TOKEN_SECONDS})
        encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        return ".".join([*encoded, ""])

    # The hosts

    def _hosts(self) -> dict[str, Callable[[re.Match[str], bytes], Answer]]:
        account = r"iamcredentials\.googleapis\.com/v1/projects/[^/]+/serviceAccounts/(?P<account>[^/:]+)"
        return {
            r"POST (oauth2\.googleapis\.com/token|sts\.googleapis\.com/v1/token)": self._token,
            r"(GET|POST) oauth2\.googleapis\.com/tokeninfo": self._token_info,
            r"POST oauth2\.googleapis\.com/revoke": lambda *_: json_answer({}),
            rf"POST {account}:generateAccessToken": self._access_token,
            rf"POST {account}:generateIdToken": self._identity_token,
            r"GET cloudresourcemanager\.googleapis\.com/v[13]/projects/(?P<project>[^/:]+)": self._project,
        }

    def _token(self, _: re.Match[str], __: bytes) -> Answer:
        answer = {"access_token": self.token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"}
        return json_answer(answer | {"scope": " ".join(_SCOPES), "id_token": self._id_token("local")})

    def _token_info(self, _: re.Match[str], __: bytes) -> Answer:
        return json_answer({"email": self.email, "scope": " ".join(_SCOPES), "expires_in": str(_TOKEN_SECONDS)})

    def _access_token(self, _: re.Match[str], __: bytes) -> Answer:
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _TOKEN_SECONDS))
        return json_answer({"accessToken": self.token, "expireTime": end})

    def _identity_token(self, _: re.Match[str], body: bytes) -> Answer:
        try:
            audience = str(parse_json(body or b"{}").get("audience", ""))
        except (ValueError, AttributeError):
            return error_answer(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        return json_answer({"token": self._id_token(audience)})

    def _project(self, found: re.Match[str], _: bytes) -> Answer:
        project = self.locations.project(found["project"])
        if project is None:
            return error_answer(403, "PERMISSION_DENIED", "The caller does not have permission")
        number = self.locations.projects.get(project, project_number(project))
        described = {"projectId": project, "projectNumber": number, "lifecycleState": "ACTIVE", "state": "ACTIVE"}
        return json_answer(described | {"name": f"projects/{number}", "displayName": project})


def json_answer(value: object) -> Answer:
    """A JSON document."""
    return Answer(200, _JSON, json.dumps(value).encode())


def _missing() -> Answer:
    return Answer(404, "text/html", b"Not Found")


def error_answer(status: int, name: str, text: str) -> Answer:
    """An error as Google's APIs write it."""
    return Answer(status, _JSON, json.dumps({"error": {"code": status, "message": text, "status": name}}).encode())
