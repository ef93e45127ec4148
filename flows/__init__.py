"""Prefect decides when: ingest, retrain, release and monitor, their deployments and triggers. Nothing here computes."""
