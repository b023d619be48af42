"""Google's SDK as its documentation shows it, over both transports: jobs, training pipelines, a script's package."""

import sys
import time
from pathlib import Path

from google.cloud import aiplatform
from google.cloud.aiplatform.utils import gcs_utils

image = sys.argv[1]
pool = {
    "replica_count": 1,
    "machine_spec": {"machine_type": "n1-standard-4"},
    "container_spec": {"image_uri": image},
}
started = []
if "--package" in sys.argv:
    # The SDK makes a bucket; one that exists it takes only if Resource Manager says that it is the project's.
    aiplatform.init(project="my-project", location="europe-west4")
    staged = [gcs_utils.stage_local_data_in_gcs(__file__) for _ in range(2)]
    print("staged", all(uri.startswith("gs://my-project-vertex-staging-europe-west4-") for uri in staged))
for transport in ("grpc", "rest"):
    aiplatform.init(project="my-project", location="europe-west4", staging_bucket="gs://local", api_transport=transport)
    mark = f"{transport}-{aiplatform.__version__.replace('.', '-')}"
    job = aiplatform.CustomJob(display_name="sdk", worker_pool_specs=[pool], labels={"by": mark})
    job.submit()
    found = aiplatform.CustomJob.list(filter=f"labels.by={mark}")
    print("listed", transport, [one.resource_name for one in found] == [job.resource_name])
    started.append(job)

container = aiplatform.CustomContainerTrainingJob(display_name="container", container_uri=image)
container.run(replica_count=1, machine_type="n1-standard-4", sync=False)
started.append(container)
if "--package" in sys.argv:
    # The SDK makes a package of the script, and stages it in the bucket.
    script = Path("task.py")
    script.write_text("import sys; print('packaged', *sys.argv[1:])\n")
    packaged = aiplatform.CustomTrainingJob(
        display_name="package",
        script_path=str(script),
        container_uri="registry.invalid/training/tf-cpu.2-17.py311:latest",
    )
    packaged.run(args=["--epochs=1"], replica_count=1, machine_type="n1-standard-4", sync=False)
    started.append(packaged)

for each in started:
    each.wait_for_resource_creation()
    while not each.state.name.endswith(("_SUCCEEDED", "_FAILED", "_CANCELLED")):
        time.sleep(0.2)
    # In one write: the client logs from threads of its own.
    sys.stdout.write(f"{type(each).__name__} {each.state.name} {each.resource_name}\n")
    sys.stdout.flush()
