"""Engine of step 5: exactly one training job on Vertex AI, watched to its end, its model recorded. Knows no Prefect.

Each sub-package imports only those above it, and the modules at the end:

client      connection to Vertex AI, Cloud Logging and Cloud Storage; API calls with deadlines; errors
spec        checks a job against Vertex AI's limits and translates it into Google's message
submit      submits exactly one job per attempt, counts attempts, cancels jobs
watch       follows a job's states and log lines to its end
receipt     lists a model's files with their checksums and writes the receipt document

job_types   plain values: description, request, submitted job, log line, outcome, receipt
labels      every label of a job
diagnosis   why a job failed, in one line, and whether a new job could end otherwise
"""
