"""Engine of the step `data`: a person's data set in the job's bucket, once, by content."""
