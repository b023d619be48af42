"""Engine of step 5: exactly one training job on Vertex AI, followed to its end, its model checked. Knows no Prefect.

model           plain values: request, job, line, outcome, receipt
spec, machines  a request as Google's message; every limit checked before anything is sent
regions         whether bucket and registry lie where the job runs
connection      the clients, made on first use, and how often is looked
places          where they lead: Google, or a server on this machine
calls           the four calls, each with a deadline and no hidden retry
attempts        the jobs of a request one after the other; budget: how many there may be
submission      exactly one job per request; intent: what is recorded before a create
cancellation    ending jobs by name or key, confirmed
watch, logs     states and lines as they come
failures        why a job failed, in one line, and whether a new one could do better
receipt, stores the model's files with their checksums
errors          Google's status codes in our tree; refusals: what their texts mean; scene: where a call was made
"""
