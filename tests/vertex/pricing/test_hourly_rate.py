"""The price of an hour, against what was billed and published."""

from __future__ import annotations

import pytest
from prefect_vertex_training.core.job_options import JobOptions, Machine, Pool
from prefect_vertex_training.vertex.pricing.hourly_rate import hourly_rate
from prefect_vertex_training.vertex.pricing.price_list import PartKey, PriceList, built_in_prices

DISK = 100 * 0.17 / 730 * 1.15
"""USD an hour of the boot disk that every machine has, in Iowa."""
SINGAPORE_DISK = 100 * 0.187 / 730 * 1.15
H100 = Machine("a3-highgpu-8g", "NVIDIA_H100_80GB", 8, boot_disk_gb=2000, boot_disk_type="pd-ssd")

# Published on Google's price page or in notes checked against it in September and October 2026 (machines alone), and a
# bill of August 2025 (with its disk). None of these totals is in the built-in table.
PUBLISHED = [
    ("n1-standard-4", "us-central1", "STANDARD", 0.21849885),
    ("e2-standard-4", "us-central1", "STANDARD", 0.154126276),
    ("n1-standard-4", "asia-southeast1", "STANDARD", 0.269544),
    ("e2-standard-4", "asia-southeast1", "STANDARD", 0.190132),
    ("n2-standard-4", "asia-southeast1", "STANDARD", 0.275554),
    ("n1-standard-4", "asia-southeast1", "SPOT", 0.091783),
    ("e2-standard-4", "asia-southeast1", "SPOT", 0.124024),
]


@pytest.mark.parametrize(("machine_type", "region", "strategy", "published"), PUBLISHED)
def test_published_machines(machine_type: str, region: str, strategy: str, published: float) -> None:
    """Each published price of a machine is the sum of its parts within 1 %."""
    rate = hourly_rate(JobOptions(machine=Machine(machine_type), strategy=strategy), region, [built_in_prices()])

    disk = SINGAPORE_DISK if region == "asia-southeast1" else DISK
    assert rate.usd == pytest.approx(published + disk, rel=0.01)


@pytest.mark.parametrize(("strategy", "billed"), [("STANDARD", 101.542968), ("FLEX_START", 52.0306163)])
def test_a_billed_job(strategy: str, billed: float) -> None:
    """The bill of a job with eight H100 and 2,000 GB of disk, on demand and waited for."""
    rate = hourly_rate(JobOptions(machine=H100, strategy=strategy), "us-central1", [built_in_prices()])

    assert rate.usd == pytest.approx(billed, rel=0.001)


DERIVED = [
    (Machine("n1-highmem-16"), 1.0883876),
    (Machine("e2-highcpu-32"), 0.910252416),
    (Machine("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1), 4.22439275),
    (Machine("a3-highgpu-1g", "NVIDIA_H100_80GB", 1), 12.6259197),
    (Machine("n1-standard-4", "NVIDIA_TESLA_T4", 2), 0.21849885 + 2 * 0.4025),
]


@pytest.mark.parametrize(("machine", "usd"), DERIVED)
def test_machines_of_other_shapes(machine: Machine, usd: float) -> None:
    """Memory, accelerators and their number count."""
    rate = hourly_rate(JobOptions(machine=machine), "us-central1", [built_in_prices()])

    assert rate.usd == pytest.approx(usd + DISK, rel=0.001)


def test_all_replicas_and_pools_are_paid() -> None:
    """Three workers like the primary, and two servers of another kind."""
    one = hourly_rate(JobOptions(), "us-central1", [built_in_prices()]).usd
    server = hourly_rate(JobOptions(machine=Machine("n1-highcpu-16")), "us-central1", [built_in_prices()]).usd
    job = JobOptions(replicas=4, pools={"server": Pool(Machine("n1-highcpu-16"), replicas=2)})

    assert one
    assert server
    assert hourly_rate(job, "us-central1", [built_in_prices()]).usd == pytest.approx(4 * one + 2 * server)


def test_an_unknown_part_is_said_and_never_free() -> None:
    """No price of one part: the whole is unknown, and the part is named with its region."""
    spot = hourly_rate(JobOptions(strategy="SPOT"), "us-central1", [built_in_prices()])
    far = hourly_rate(JobOptions(machine=Machine("g2-standard-4", "NVIDIA_L4", 1)), "me-west1", [built_in_prices()])
    tpu = hourly_rate(JobOptions(machine=Machine("ct6e-standard-4t", tpu_topology="2x2")), "us-east5", [])

    assert (spot.usd, far.usd, tpu.usd) == (None, None, None)
    assert str(spot) == "unknown: no price of N1 (core) with SPOT in us-central1"
    assert str(far) == "unknown: no price of G2 (core) in me-west1"
    assert str(tpu) == "unknown: no price of ct6e-standard-4t"


def test_each_part_comes_from_the_first_list_that_has_it() -> None:
    """A newer price wins, the others are filled in, and both sources are named."""
    newer = PriceList({PartKey("core", "N1", "us-central1", "list"): 1.0}, "billing catalog", "2026-11-30")

    rate = hourly_rate(JobOptions(), "us-central1", [newer, built_in_prices()])

    assert rate.usd == pytest.approx((4 * 1.0 + 15 * 0.004237) * 1.15 + DISK)
    assert rate.source == "billing catalog of 2026-11-30, built-in table of 2026-11-29"
