"""A job request as a CustomJob: fields, limits, machines, output folders."""
