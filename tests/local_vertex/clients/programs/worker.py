"""prefect-gcp's Vertex worker runs one flow run, as it does in a work pool."""

import asyncio
import os
import uuid

from prefect.client.schemas.objects import FlowRun
from prefect_gcp.credentials import GcpCredentials
from prefect_gcp.workers.vertex import VertexAIWorker, VertexAIWorkerJobConfiguration

pool = {
    "replica_count": 1,
    "container_spec": {"image_uri": os.environ["IMAGE"], "args": []},
    "machine_spec": {"machine_type": "n1-standard-4"},
    "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100},
}
configuration = VertexAIWorkerJobConfiguration(
    name="worker",
    region="us-central1",
    credentials=GcpCredentials(project="my-project"),
    job_spec={"maximum_run_time_hours": 1, "worker_pool_specs": [pool]},
    job_watch_poll_interval=0.2,
)
flow_run = FlowRun(flow_id=uuid.uuid4(), name="worker")
result = asyncio.run(VertexAIWorker(work_pool_name="vertex").run(flow_run, configuration))
print("status", result.status_code)
