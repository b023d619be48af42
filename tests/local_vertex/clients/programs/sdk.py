"""Google's SDK as its documentation shows it, over one transport: a job, and a training pipeline with a package."""

import sys
import tarfile
import time
from pathlib import Path

from google.cloud import aiplatform

transport, image, bucket = sys.argv[1:4]
aiplatform.init(project="my-project", location="europe-west4", staging_bucket="gs://local", api_transport=transport)

pool = {
    "replica_count": 1,
    "machine_spec": {"machine_type": "n1-standard-4"},
    "container_spec": {"image_uri": image},
}
job = aiplatform.CustomJob(display_name="sdk", worker_pool_specs=[pool], labels={"by": transport})
job.submit()
container = aiplatform.CustomContainerTrainingJob(display_name="container", container_uri=image)
container.submit(replica_count=1, machine_type="n1-standard-4")

# What `from_local_script` stages, put where the bucket lies on this machine.
package = Path(bucket, f"trainer-{transport}.tar.gz")
source = Path(bucket, transport)
(source / "trainer").mkdir(parents=True, exist_ok=True)
(source / "trainer" / "__init__.py").write_text("")
(source / "trainer" / "task.py").write_text("import sys; print('packaged', *sys.argv[1:])\n")
(source / "setup.py").write_text("from setuptools import setup; setup(name='trainer', packages=['trainer'])\n")
with tarfile.open(package, "w:gz") as archive:
    archive.add(source, "trainer-0.1")
packaged = None
if "--package" in sys.argv:
    packaged = aiplatform.CustomPythonPackageTrainingJob(
        display_name="package",
        python_package_gcs_uri=f"gs://local/{package.name}",
        python_module_name="trainer.task",
        container_uri="registry.invalid/training/tf-cpu.2-17.py311:latest",
    )
    packaged.submit(args=["--epochs=1"], replica_count=1, machine_type="n1-standard-4")

ends = ("_SUCCEEDED", "_FAILED", "_CANCELLED")
for each in filter(None, (job, container, packaged)):
    while not each.state.name.endswith(ends):
        time.sleep(0.2)
    print(type(each).__name__, each.state.name, each.resource_name)
found = aiplatform.CustomJob.list(filter=f"labels.by={transport}")
print("listed", [one.resource_name for one in found] == [job.resource_name])
