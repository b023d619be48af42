"""Engine of step 5: a job's spec, its submission, its logs, its model. Knows no Prefect."""
