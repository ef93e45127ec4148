"""The one event that Footfall sends, and whom it is about. Known to the sender (`monitor`) and to the automation (`deployments`)."""

from __future__ import annotations

DRIFT_DETECTED = "footfall.drift.detected"
MODEL_RESOURCES = "footfall.model.*"


def model_resource(release_id: str) -> dict[str, str]:
    """The Prefect resource of a release's model."""
    return {"prefect.resource.id": f"footfall.model.{release_id}", "prefect.resource.name": f"model {release_id}"}
