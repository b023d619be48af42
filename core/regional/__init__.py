"""Regions, and what another place changes of a job."""
