"""Regular expressions for secrets. All of them have the same meaning for RE2 and for Python's `re`."""

from __future__ import annotations

import hashlib

from .detectors import PLUGINS

_KEY_TEXT = r"""[\s"'\\nr+,]{1,60}(?:[A-Za-z-]+: [^\n]{0,80}[\s"'\\nr+,]{1,60})*[A-Za-z0-9+/]{16}"""
_QUOTE = r"""\\?["']"""
_WORD = r"""(?:api_?key|secret(?:_?key)?|passw(?:or)?d|pwd|passphrase|(?:auth|access|private)_?token)"""
_ASSIGNED = rf"""(?i:{_WORD})(?:{_QUOTE})?\]?[ \t]{{0,8}}(?:=|:|=>)[ \t]{{0,8}}"""

OWN: tuple[tuple[str, str], ...] = (
    ("service account key", rf"""{_QUOTE}private_key{_QUOTE}\s*:\s*{_QUOTE}-----BEGIN PRIVATE KEY-----{_KEY_TEXT}"""),
    ("private key", rf"""-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{_KEY_TEXT}"""),
    ("Google refresh token", r"""\b1//0[A-Za-z0-9_-]{40,}"""),
    ("OAuth refresh token", rf"""{_QUOTE}refresh_token{_QUOTE}\s*:\s*{_QUOTE}[A-Za-z0-9/_.~+-]{{20,}}"""),
    ("Google access token", r"""\bya29\.[A-Za-z0-9_-]{20,}"""),
    ("Google API key", r"""\bAIza[A-Za-z0-9_-]{35}\b"""),
    ("Google client secret", r"""\bGOCSPX-[A-Za-z0-9_-]{28}"""),
    ("AWS secret key", r"""(?i:aws_?secret_?(?:access_?)?key)[\s"'\\:=]{1,12}[A-Za-z0-9/+]{40}\b"""),
    ("Azure storage key", r"""(?i:account_?key)[\s"'\\:=]{1,12}[A-Za-z0-9/+]{86}=="""),
    ("Azure client secret", r"""\b[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34}\b"""),
    ("Azure shared access key", r"""(?i:sharedaccesskey=)[A-Za-z0-9/+]{43}="""),
    ("GitHub token", r"""\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"""),
    ("Hugging Face token", r"""\b(?:hf_[A-Za-z0-9]{34,40}|api_org_[A-Za-z0-9]{34})\b"""),
    ("Weights & Biases key", r"""(?is:wandb.{0,60}?(?:key|login|password|token).{0,24}?)\b[0-9a-f]{40}\b"""),
    ("Weights & Biases key", r"""\bwandb_v1_[A-Za-z0-9_]{40,}"""),
    ("Kaggle key", rf"""{_QUOTE}key{_QUOTE}\s*:\s*{_QUOTE}[0-9a-f]{{32}}{_QUOTE}"""),
    ("Kaggle key", r"""\b(?:KAGGLE_KEY[\s"'\\:=\],]{1,12}[0-9a-f]{32}|KGAT_[0-9a-f]{32})\b"""),
    ("netrc password", r"""\bmachine\s+[\w.-]+\s+login\s+\S+\s+password\s+(\S{6,})"""),
    ("Docker registry password", rf"""{_QUOTE}auth{_QUOTE}\s*:\s*{_QUOTE}[A-Za-z0-9+/]{{12,}}={{0,2}}{_QUOTE}"""),
    ("Docker Hub token", r"""\bdckr_[po]at_[A-Za-z0-9_-]{27,}"""),
    ("Databricks token", r"""\bdapi[0-9a-f]{32}\b"""),
    ("Anthropic key", r"""\bsk-ant-[a-z0-9]{2,8}-[A-Za-z0-9_-]{40,}"""),
    ("OpenAI key", r"""\bsk-(?:proj|svcacct)-[A-Za-z0-9_-]{40,}"""),
    ("Replicate token", r"""\br8_[A-Za-z0-9]{37}\b"""),
    ("Neptune token", r"""\beyJhcGlfYWRkcmVzcyI6[A-Za-z0-9+/=]{20,}"""),
    ("Slack token", r"""\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{32,}"""),
)
"""Kind and expression of secrets that their form alone shows."""

GENERIC = (
    rf"""{_ASSIGNED}{_QUOTE}([^\s"'\\]{{12,80}}){_QUOTE}""",
    rf"""{_ASSIGNED}([A-Za-z0-9+/=_-]{{20,80}})(?:\s|$)""",
)
"""A name such as `password` and the value that is assigned to it: group 1, which must look random too."""

SUSPECTS: tuple[str, ...] = (
    r"""\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}\b""",
    r"""(?i:aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?['"])[0-9a-zA-Z/+]{40}\\?['"]""",
    r"""://[^\s:/@"'<>]{1,64}:[^\s:/@"'<>]{3,64}@""",
    r"""\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}""",
    r"""\b(?:glpat|gldt|glft|glsoat|glrt|glimt|glptt)-[A-Za-z0-9_-]{20}""",
    r"""\beyJ[A-Za-z0-9_=-]{8,}\.eyJ[A-Za-z0-9_=-]{8,}""",
    r"""\b[0-9a-z]{32}-us[0-9]{1,2}\b""",
    r"""//[^\s]+/:_authToken=\s*(?:npm_|[A-Fa-f0-9-]{36})""",
    r"""\bsk-[A-Za-z0-9_-]*T3BlbkFJ[A-Za-z0-9]{20}""",
    r"""\bpypi-AgE[A-Za-z0-9_-]{70,}""",
    r"""\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}""",
    r"""\b(?i:xox[abposr])-[0-9A-Za-z]+-""",
    r"""(?i:hooks\.slack\.com/services/T[a-z0-9_]+/B)""",
    r"""\bsq0csp-[0-9A-Za-z_-]{43}""",
    r"""\b[rs]k_live_[0-9a-zA-Z]{24}""",
    r"""\b\d{8,10}:AA[0-9A-Za-z_-]{33}\b""",
    r"""\b(?:AC|SK)[a-f0-9]{32}\b""",
    r"""\b[MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27}\b""",
)
"""Simple forms of what the detectors of detect-secrets know; they decide."""

PREFILTER = "|".join([*(f"(?:{pattern})" for _, pattern in OWN), *GENERIC, *SUSPECTS])
"""All expressions in one: a text that doesn't match it holds no secret."""

VERSION = hashlib.sha256(f"1 {OWN} {GENERIC} {SUSPECTS} {PLUGINS}".encode()).hexdigest()[:16]
"""Changes with the rules, so that files in which older rules found nothing are scanned again."""
