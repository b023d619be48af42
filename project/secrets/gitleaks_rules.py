"""The rules of gitleaks, kept as data in `gitleaks/`, with its licence."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from math import log2
from typing import Any, NamedTuple

VERSION = "b58d3f1"
"""The commit of gitleaks from which the rules are; changes with `gitleaks/rules.toml`."""

_SERVICES = (
    "adafruit|adobe|airtable|algolia|alibaba|asana|atlassian|confluence|jira|beamer|bitbucket|bittrex|meraki|cloudflare|"
    "codecov|cohere|co_api_key|coinbase|confluent|contentful|datadog|discord|droneci|dropbox|etsy|facebook|fastly|"
    "finicity|finnhub|flickr|freshbooks|gitter|gocardless|heroku|hubspot|intercom|jfrog|artifactory|bintray|xray|kraken|"
    "kucoin|launchdarkly|linked[_-]?in|looker|mailchimp|mailgun|mapbox|mattermost|message[_-]?bird|netlify|"
    "new[_-]?relic|nytimes|newyorktimes|okta|plaid|private[_-]?ai|rapidapi|sendbird|sentry|contribsys__com|snyk|sonar|"
    "squarespace|sumo|telegr|travis|twitch|twitter|typeform|yandex|zendesk"
)
"""Names of services beside which the rules look for a value: all keywords of rules that have such a name."""

_PREFIXES = (
    r"p8e-|LTAI|AKCp|cmVmd|ABSK|bedrock-api-key-|4b1d|CLOJARS_|clojars_|v1\.0-|duffel_|dt0c01\.|EZAK|EZTK|"
    r"EAA[MC]|FLWSECK_TEST-|fo1_|fm1[ar]_|fm2_|fio-u-|dnkey-|_gitlab_session=|[ps]at\.|"
    r"HRKU-AA|ico-|s-s4t2|ZXlK|lin_api_|ntn_|API-|sha256~|pscale_|PMAK-|pnu_|rdme_|rubygems_|tk-us-|xkeysib-|sm_[aps]at_|"
    r"shippo_|authress_|scauth_|ext_|sc_|ATATT3|tfp_"
)
"""How the tokens of all other rules begin."""

SERVICE_ANCHOR = rf"""(?i:{_SERVICES})[\w.-]*['" \t]*[=:,>|]+[\x60'" \t=]*[A-Za-z_=~@.+/-]*[0-9][\w=~@.+/-]{{8}}"""
TOKEN_ANCHOR = rf"""\b(?:{_PREFIXES})[A-Za-z0-9._/+=-]{{20}}|\bpat[A-Za-z0-9]{{14}}\.[a-f0-9]{{20}}|contribsys\.com"""
"""One of these matches whatever a rule matches, and more."""


class Rule(NamedTuple):
    """One rule.

    Attributes:
        kind: Its id in words.
        pattern: Its expression, in the syntax of Go and RE2.
        group: The group that is the secret; 0 for the first that matched.
        entropy: Bits for each character that the secret has at least.
        keywords: Lowercase texts; a text that the rule matches has one of them.
    """

    kind: str
    pattern: Any
    group: int
    entropy: float
    keywords: tuple[str, ...]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules; their expressions are compiled when a keyword is met."""
    text = files(str(__package__)).joinpath("gitleaks/rules.toml").read_text(encoding="utf-8")
    return tuple(
        Rule(
            str(entry["id"]).replace("-", " "),
            entry["regex"],
            int(entry.get("secretGroup", 0)),
            float(entry.get("entropy", 0.0)),
            tuple(entry["keywords"]),
        )
        for entry in tomllib.loads(text)["rules"]
    )


@cache
def _keywords() -> frozenset[str]:
    return frozenset(keyword for rule in rules() for keyword in rule.keywords)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    import re2  # Go's syntax, which Python's `re` reads differently

    return re2.compile(pattern)  # pyright: ignore[reportReturnType]


def matches(text: str) -> Iterator[tuple[str, str, int, int]]:
    """Kind, secret and its place for each rule that matches the text."""
    lowered = text.lower()
    present = {keyword for keyword in _keywords() if keyword in lowered}
    for rule in rules() if present else ():
        if present.isdisjoint(rule.keywords):
            continue
        for match in _compiled(rule.pattern).finditer(text):
            group = rule.group or next((number for number, value in enumerate(match.groups(), 1) if value), 0)
            if not rule.entropy or entropy(match[group]) > rule.entropy:
                yield rule.kind, match[group], match.start(group), match.end(group)


def entropy(value: str) -> float:
    """Shannon entropy, in bits for each character."""
    return -sum(count / len(value) * log2(count / len(value)) for count in Counter(value).values())
