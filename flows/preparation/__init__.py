"""What a training and a sweep begin with: the opened project, the checks, the image, the data."""
