"""What a job's surroundings are asked about: network, reservation, key, billing account, the organization's policies.

All is as it has to be, but for what the switch `api_answers` says. Sources: compute v1, cloudkms v1, orgpolicy v2,
cloudbilling v1 and cloudresourcemanager v1 under https://cloud.google.com/docs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_PEERED = {"peerings": [{"name": "servicenetworking-googleapis-com", "state": "ACTIVE"}]}
_SHARED = {"status": "READY", "reservationSharingPolicy": {"serviceShareType": "ALLOW_ALL"}}
_PROJECT = r"projects/(?P<project>[^/:]+)"
_KEY = rf"cloudkms/v1/{_PROJECT}/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+"

Found = re.Match[str]
Document = Mapping[str, Any]

QUESTIONS: Mapping[str, Callable[[Found, str], Document]] = {
    rf"GET compute/compute/v1/(?P<path>{_PROJECT}/global/networks/[^/]+)": lambda found, _: {
        "name": found["path"],
        **_PEERED,
    },
    rf"GET compute/compute/v1/(?P<path>{_PROJECT}/zones/[^/]+/reservations/[^/]+)": lambda found, _: {
        "name": found["path"],
        **_SHARED,
    },
    rf"GET {_KEY}": lambda _, __: {"purpose": "ENCRYPT_DECRYPT", "primary": {"state": "ENABLED"}},
    rf"GET {_KEY}:getIamPolicy": lambda _, number: {
        "bindings": [{"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": [agent(number)]}]
    },
    rf"GET orgpolicy/v2/{_PROJECT}/policies/[^/:]+:getEffectivePolicy": lambda _, __: {"spec": {}},
    rf"GET cloudbilling/v1/{_PROJECT}/billingInfo": lambda _, __: {"billingEnabled": True},
    rf"POST cloudresourcemanager/v1/{_PROJECT}:getAncestry": lambda found, _: {
        "ancestor": [{"resourceId": {"type": "project", "id": found["project"]}}]
    },
}
"""Method, API and path of a question, and its answer from the match and the project's number."""


def agent(number: str, kind: str = "") -> str:
    """One of Vertex AI's service agents as an IAM member; `-cc` is the one that custom code runs as."""
    return f"serviceAccount:service-{number}@gcp-sa-aiplatform{kind}.iam.gserviceaccount.com"


def first_policy(number: str) -> Document:
    """The policy of a new project, once Vertex AI has been used in it."""
    return {
        "bindings": [
            {"role": "roles/aiplatform.serviceAgent", "members": [agent(number)]},
            {"role": "roles/aiplatform.customCodeServiceAgent", "members": [agent(number, "-cc")]},
            {"role": "roles/editor", "members": [f"serviceAccount:{number}-compute@developer.gserviceaccount.com"]},
        ]
    }
