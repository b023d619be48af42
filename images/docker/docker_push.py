"""Pushes an image from a Docker engine to a registry, with the engine's own push.

The engine sends only layers that the registry lacks, and those of a base as they were pulled; `docker save` would read
the whole image each time, at about 90 MB/s. But the engine reports failures as text only, and retries for 50 seconds
what can never succeed. So this module asks the registry itself whether the account may push: before the push, and
again when the engine reports trouble. The registry's answer decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core.errors import RegistryError, RegistryUnavailable
from ...core.metering.meter import UPLOADING, Meters
from ...core.retry import retry
from ...core.security.parsed_text import parse_json
from ..oci.image_types import BuiltImage, LayerReport
from .engine_errors import engine_errors
from .engine_transfer import EngineTransfer

if TYPE_CHECKING:
    from docker import DockerClient

    from ..registry.repository import Repository

Log = Callable[[str], None]
Action = Literal["reused", "uploaded", "mounted"]


def push(
    image: BuiltImage,
    *,
    engine: DockerClient,
    target: Repository,
    tags: Sequence[str],
    log: Log,
    meters: Meters | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> BuiltImage:
    """Sends the layers that the registry lacks, then the manifest under each tag; the registry confirms the digest.

    Args:
        image: The result of `docker_build.build` with the same engine.
        engine: The engine that has the image; it must be able to reach the registry.
        target: The repository that the image goes to.
        tags: The image's tags, at least one.
        log: Called with a line for each layer.
        meters: Where the bytes that are sent are counted.
        sleep: Waits for a number of seconds.

    Raises:
        RegistryDenied: The account may not push; names the command that grants the permission. Nothing was sent.
        RegistryUnavailable: The registry failed in every attempt.
        RegistryError: The host is not a registry, or it has another image under the tag than was sent.
        DockerError: No engine answers, or it no longer has the image.
    """
    target.check_push()
    name = f"{target.host}/{target.repository}"
    with engine_errors("to name the image"):
        for tag in tags:
            engine.api.tag(image.digest, name, tag)
    progress = _Progress(log, EngineTransfer((meters or Meters())[UPLOADING]))
    first, *others = tags
    digest = retry(lambda: _push_tag(engine, name, first, target, progress), attempts=3, sleep=sleep)
    pushed = _confirmed(target, {first: digest}, progress)
    if others and (found := target.get_manifest(digest)):
        # Not by the engine: it takes a tag that the registry doesn't move for a failure of the push.
        target.put_manifest(found[1], found[0].media_type, others)
    return pushed


def _push_tag(engine: DockerClient, name: str, tag: str, target: Repository, progress: _Progress) -> str:
    auth = target.credentials and target.credentials.pair()
    with engine_errors("the push"):
        answers = engine.api.push(name, tag=tag, stream=True, decode=True, auth_config=auth)
        for answer in _checked_answers(answers, target):
            progress.handle(answer)
            if digest := (answer.get("aux") or {}).get("Digest"):
                return digest
    raise RegistryUnavailable("the engine ended the push without a digest", where=f"{name}:{tag}")


def _checked_answers(answers: Iterator[dict[str, Any]], target: Repository) -> Iterator[dict[str, Any]]:
    checked_again = False
    for answer in answers:
        if "error" in answer:
            target.check_push()  # a definite refusal is raised with the registry's own message
            raise RegistryUnavailable(
                f"the engine's push failed: {' '.join(str(answer['error']).split())}",
                where=f"{target.host}/{target.repository}",
                next_step="Run again; if it happens again, check that the engine can reach the registry",
            )
        if not checked_again and str(answer.get("status", "")).startswith("Retrying"):
            checked_again = True
            target.check_push()
        yield answer


class _Progress:
    """What happened to each layer, by the first 12 digits of its diff ID."""

    def __init__(self, log: Log, transfer: EngineTransfer) -> None:
        self._log = log
        self._transfer = transfer
        self._started: dict[str, float] = {}
        self.actions: dict[str, tuple[Action, float]] = {}

    def handle(self, answer: dict[str, Any]) -> None:
        self._transfer.handle(answer)
        layer, status = answer.get("id", ""), str(answer.get("status", ""))
        started = self._started.setdefault(layer, time.monotonic())
        action: Action | None = None
        if status == "Pushed":
            action = "uploaded"
        elif status == "Layer already exists":
            action = "reused"
        elif status.startswith("Mounted from"):
            action = "mounted"
        if action and layer not in self.actions:
            self.actions[layer] = (action, time.monotonic() - started)
            self._log(f"{layer}: {status}")

    def report(self, diff_id: str) -> tuple[Action, float]:
        return self.actions.get(diff_id.removeprefix("sha256:")[:12], ("reused", 0.0))


def _confirmed(target: Repository, digests: dict[str, str], progress: _Progress) -> BuiltImage:
    tag, digest = next(iter(digests.items()))
    found = target.get_manifest(tag)
    if found is None or found[0].digest != digest:
        there = found[0].digest if found else "nothing"
        raise RegistryError(
            f"the registry has {there} under the tag {tag}, and {digest} was pushed",
            where=f"{target.host}/{target.repository}",
            next_step="Check who else pushes there, and run again",
        )
    manifest = parse_json(found[1])
    with target.open_blob(manifest["config"]["digest"]) as body:
        config = parse_json(body.read())
    layers = [
        LayerReport(title, layer["digest"], layer["size"], *progress.report(diff_id))
        for layer, title, diff_id in zip(
            manifest["layers"], layer_titles(config), config["rootfs"]["diff_ids"], strict=True
        )
    ]
    size = sum(layer.size for layer in layers)
    return BuiltImage(target.reference(digest), digest, found[0].media_type, size, layers, "docker")


def layer_titles(config: dict[str, Any]) -> list[str]:
    """The command that made each layer of an image, shortened."""
    made = [step.get("created_by", "") for step in config.get("history", []) if not step.get("empty_layer")]
    count = len(config["rootfs"]["diff_ids"])
    titles = [" ".join(step.removeprefix("/bin/sh -c ").removeprefix("#(nop) ").split())[:80] for step in made]
    return [title or "layer" for title in titles[:count]] + ["layer"] * (count - len(titles))
