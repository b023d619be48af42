"""The Prefect server that stays on this machine where a person has set none: one for each home folder."""
