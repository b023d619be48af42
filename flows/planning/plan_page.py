"""The plan of a run as one page: for people, and as one JSON object."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...images.forecast import BuildForecast
from ...vertex.preflight.check_result import Finding
from ...vertex.preflight.readiness import as_table, summary
from ...vertex.pricing.estimate import duration_text
from ...vertex.spec.gcloud_command import AFTER_BUILD, create_command, spec_document, to_yaml
from .place_plans import PlacePlan
from .training_plan import TrainingPlan

if TYPE_CHECKING:
    from ...images.plan import ImagePlan
    from ...project.dependencies.freeze import Lock

_SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:key|token|secret|password|passwd|pwd|credentials?|auth)(?:$|_)")
MASK = "***"


@dataclass(frozen=True, slots=True)
class PlanPage:
    """What a run will do, with its image and its dependencies.

    Attributes:
        plan: Project, job and cost.
        lock: The frozen dependencies.
        image: How the image is made, and where it goes.
        forecast: What of the image is there already.
        project: The Google Cloud project of the job; "local" for this machine.
        findings: Of the checks of that project; empty where nothing was checked.
        places: Those of the fall-back list, in its order; empty without one.
    """

    plan: TrainingPlan
    lock: Lock
    image: ImagePlan
    forecast: BuildForecast
    project: str
    findings: Sequence[Finding] = ()
    places: Sequence[PlacePlan] = ()

    def to_dict(self) -> dict[str, Any]:
        """The page as one JSON object; sizes in bytes, times in seconds, money in USD."""
        plan, settings, report = self.plan, self.plan.project.settings, self.plan.project.size_report
        cost = plan.cost
        return {
            "project": {"name": settings.name, "folder": str(plan.project.root)},
            "start": list(settings.starts.image_words()) if settings.entry else [settings.script],
            "arguments": list(plan.arguments),
            "files": {
                "count": report.files,
                "bytes": report.size,
                "left_out": [{"path": item.path, "bytes": item.size} for item in report.left_out],
            },
            "verify": settings.verify,
            "dependencies": {
                "list": self.lock.method,
                "python": self.lock.python,
                "packages": [f"{name}=={version}" for name, version in self.lock.packages],
                "changes": [str(entry) for entry in self.lock.changes],
                "notes": list(self.lock.notes),
            },
            "data": [
                {"name": each.name, "from": each.path or each.uri, "mode": each.mode or "auto"}
                for each in settings.data
            ],
            "image": self._image(),
            "job": {
                "region": plan.place.region,
                "local": plan.place.local,
                "jobs_allowed": plan.allowed,
                "spec": self.spec(),
                "command": self.command(),
            },
            "places": [each.to_dict() for each in self.places],
            "cost": {
                "usd_per_hour": cost and cost.rate.usd,
                "about_usd": cost and cost.about,
                "at_most_usd": cost and cost.most,
                "max_cost_usd": cost and cost.cap,
                "prices": cost.rate.source if cost else None,
                "text": str(cost) if cost else "nothing: the job runs on this machine",
            },
            "checks": as_table(self.findings),
            "warnings": list(plan.warnings),
        }

    def _image(self) -> dict[str, Any]:
        existing = self.forecast.existing
        return {
            "builder": self.image.builder,
            "base": self.image.request.base,
            "base_digest": self.image.base.digest if self.image.base else None,
            "reference": existing.reference if existing else None,
            "fingerprint": self.image.request.fingerprint,
            "packages": self.forecast.packages,
            "packages_ready": self.forecast.ready,
            "download_bytes": self.forecast.download,
            "code_bytes": self.forecast.code,
            "send_bytes_at_most": self.forecast.send,
            "seconds_about": round(self.forecast.seconds, 1),
        }

    def spec(self) -> dict[str, Any]:
        """The CustomJobSpec, by the API's names."""
        existing = self.forecast.existing
        reference = existing.reference if existing else None
        unbuilt = self.image.target.reference(AFTER_BUILD)
        return spec_document(self.plan.job, reference, unbuilt=unbuilt, local=self.plan.place.local, mask=masked)

    def command(self) -> str:
        """The gcloud command that creates this job from the spec."""
        return create_command(self.plan.job, project=self.project, region=self.plan.place.region)

    def lines(self) -> Iterator[str]:
        """The page, line by line."""
        for name, text in self._rows():
            yield f"{name:<13}{text}"
        if self.findings:
            yield f"{'checks':<13}{summary(self.findings).partition(': ')[2]}"
            yield from (f"    {line}" for line in self._unmet())
        yield ""
        yield "The job, as job.yaml:"
        yield from (f"    {line}" for line in to_yaml(self.spec()).splitlines())
        yield "The same by hand:"
        yield f"    {self.command()}"

    def _unmet(self) -> Iterator[str]:
        for finding in self.findings:
            if finding.status != "PASS":
                yield from str(finding).splitlines()

    def _rows(self) -> Iterator[tuple[str, str]]:
        plan, settings = self.plan, self.plan.project.settings
        yield "project", f"{settings.name}, {plan.project.root}"
        yield "start", settings.title
        yield "arguments", shlex.join(plan.arguments) or "none"
        for number, line in enumerate(plan.project.lines()):
            yield "" if number else "files", line
        yield "verify", settings.verify
        yield "dependencies", self._dependencies()
        for entry in (*self.lock.changes, *self.lock.notes):
            yield "", str(entry)
        for each in settings.data:
            yield "data", f"{each.name}: {each.path or each.uri}, mode {each.mode or 'by its sizes'}"
        base = f" on {self.image.request.base}" if self.image.request.base else ""
        yield "image", f"{self.image.builder}{base}, {self.forecast}"
        yield "job", self._job()
        for number, each in enumerate(self.places, 1):
            yield "" if number > 1 else "places", f"{number}. {each}"
        yield "cost", str(plan.cost) if plan.cost else "nothing: the job runs on this machine"
        if plan.cost and plan.cost.rate.usd is not None:
            yield "rate", str(plan.cost.rate)
        for warning in plan.warnings:
            yield "warning", warning

    def _dependencies(self) -> str:
        count = len(self.lock.packages)
        if self.lock.conda:
            return f"{self.lock.method}, installed by conda"
        return f"{count} package{'' if count == 1 else 's'} of {self.lock.method} for Python {self.lock.python}"

    def _job(self) -> str:
        job, place = self.plan.job, self.plan.place
        where = "this machine" if place.local else place.region
        replicas = f"{job.replicas} x " if job.replicas > 1 else ""
        pools = "".join(
            f", {role}: {pool.replicas} x {pool.machine or job.machine}" for role, pool in job.pools.items()
        )
        limit = (
            f"at most {duration_text(job.timeout)}, {self.plan.allowed} attempt{'s' if self.plan.allowed > 1 else ''}"
        )
        return f"{replicas}{job.machine}{pools}, {job.strategy}, {where}, {limit}"


def masked(name: str, value: str) -> str:
    """A variable's value as it is shown: hidden where its name says that it is a secret."""
    return MASK if value and _SECRET_NAME.search(name) else value
