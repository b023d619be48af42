// Google's client for Node: creates a job, waits for its end, and reads the texts of errors.
import {createRequire} from 'node:module';
const {JobServiceClient} = createRequire(process.argv[2] + '/')('@google-cloud/aiplatform').v1;

const client = new JobServiceClient({apiEndpoint: 'us-central1-aiplatform.googleapis.com'});
const project = await client.getProjectId();
const parent = `projects/${project}/locations/us-central1`;
const pool = {replicaCount: 1, machineSpec: {machineType: 'n1-standard-4'}, containerSpec: {imageUri: process.env.IMAGE}};
const [made] = await client.createCustomJob({parent, customJob: {displayName: 'node', jobSpec: {workerPoolSpecs: [pool]}}});
let job = made;
while (!/_(SUCCEEDED|FAILED|CANCELLED)$/.test(job.state)) {
  await new Promise(resolve => setTimeout(resolve, 200));
  [job] = await client.getCustomJob({name: made.name});
}
console.log(job.state, job.jobSpec.workerPoolSpecs[0].diskSpec.bootDiskType);
for (const call of [
  () => client.createCustomJob({parent, customJob: {jobSpec: {workerPoolSpecs: []}}}),
  () => client.getCustomJob({name: `${parent}/customJobs/none`}),
]) {
  await call().then(() => console.log('no error'), error => console.log(error.code, JSON.stringify(error.details)));
}
