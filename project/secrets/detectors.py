"""The detectors of detect-secrets that decide on known kinds of tokens.

The only module that uses detect-secrets. Its detectors are imported by their modules' names, which the library does
not promise to keep: tests/project/secrets/test_detectors.py fails when one of them changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

BASIC_AUTH = "basic_auth.BasicAuthDetector"

PLUGINS: dict[str, str] = {
    "aws.AWSKeyDetector": "AWS key",
    BASIC_AUTH: "password in an address",
    "discord.DiscordBotTokenDetector": "Discord token",
    "github_token.GitHubTokenDetector": "GitHub token",
    "gitlab_token.GitLabTokenDetector": "GitLab token",
    "jwt.JwtTokenDetector": "JSON web token",
    "mailchimp.MailchimpDetector": "Mailchimp key",
    "npm.NpmDetector": "npm token",
    "openai.OpenAIDetector": "OpenAI key",
    "pypi_token.PypiTokenDetector": "PyPI token",
    "sendgrid.SendGridDetector": "SendGrid key",
    "slack.SlackDetector": "Slack token",
    "square_oauth.SquareOAuthDetector": "Square secret",
    "stripe.StripeDetector": "Stripe key",
    "telegram_token.TelegramBotTokenDetector": "Telegram token",
    "twilio.TwilioKeyDetector": "Twilio key",
}
"""Kinds of secrets by detector. The entropy detectors are not used: they report every hash as a secret."""


class Detectors:
    """The detectors, loaded on creation, which takes a quarter of a second."""

    def __init__(self) -> None:
        self._loaded = []
        for place, kind in PLUGINS.items():
            module, name = place.split(".")
            detector = getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
            self._loaded.append((kind, detector))

    def secrets(self, text: str) -> Iterator[tuple[str, str, str]]:
        """Each secret in `text`: its kind, all of it, and the part that the detector reports.

        Some detectors report only the beginning of a secret.
        """
        for kind, detector in self._loaded:
            for part in detector.analyze_string(text):
                whole = re.search(re.escape(part) + r"[\w-]*", text)
                yield kind, whole[0] if whole else part, part
