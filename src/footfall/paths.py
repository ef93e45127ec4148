"""Every artefact path, once. Nothing else in the project spells a path out.

A root is a checkout or a workspace (`footfall init`): the folder that holds `dvc.yaml`.
This module makes no folder and opens no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_RELEASE_ID = re.compile("r[0-9a-f]{1,64}")


def is_release_id(text: str) -> bool:
    """Whether this can name a release, and so a folder of the model store: "r" and hexadecimal digits, nothing else."""
    return _RELEASE_ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Paths:
    """Artefact paths below one root."""

    root: Path

    @classmethod
    def here(cls) -> Paths:
        """Paths below the current directory: where DVC runs its stages."""
        return cls(Path())

    # what people write
    @property
    def params(self) -> Path:
        """All numbers that change an artefact."""
        return self.root / "params.yaml"

    # data/
    @property
    def raw(self) -> Path:
        """Immutable raw batches that the gate passed: `raw/<contract>/<batch_id>/{rows.parquet,receipt.json}`."""
        return self.root / "data" / "raw"

    @property
    def quarantine(self) -> Path:
        """Bad rows (`rows/<contract>/<batch_id>.parquet`) and held batches (`held/<contract>/<batch_id>/`)."""
        return self.root / "data" / "quarantine"

    @property
    def tables(self) -> Path:
        """Canonical tables of stage `events`: `events.parquet`, `catalogue.parquet`, `users.parquet`."""
        return self.root / "data" / "tables"

    @property
    def sequences(self) -> Path:
        """Arrays of stage `sequences`, with `vocabulary.parquet`, `users.parquet` and `split.json`."""
        return self.root / "data" / "sequences"

    @property
    def content(self) -> Path:
        """Vectors and attributes of the vocabulary's items, of stage `content`."""
        return self.root / "data" / "content"

    @property
    def weights(self) -> Path:
        """Output of stage `train`: `config.json` and `model.safetensors`."""
        return self.root / "data" / "weights"

    @property
    def habits(self) -> Path:
        """Output of stage `habits`: `habits.safetensors`."""
        return self.root / "data" / "habits"

    @property
    def bundle(self) -> Path:
        """Output of stage `bundle`: the folder that is evaluated, released and served."""
        return self.root / "data" / "bundle"

    @property
    def curves(self) -> Path:
        """Learning curves that DVCLive draws; not in git."""
        return self.root / "dvclive"

    # reports/
    @property
    def reports(self) -> Path:
        """Small reports, kept in git."""
        return self.root / "reports"

    @property
    def slates(self) -> Path:
        """Slates for all users, for whoever sends them; out of git, for they are about people."""
        return self.reports / "slates"

    @property
    def validation_report(self) -> Path:
        """Verdict of stage `validate` over the canonical tables."""
        return self.reports / "validation.json"

    @property
    def training_report(self) -> Path:
        """What the trainer saw: events, epochs, steps, losses."""
        return self.reports / "training.json"

    @property
    def metrics_report(self) -> Path:
        """METRICS of stage `evaluate`."""
        return self.reports / "metrics.json"

    @property
    def decisions(self) -> Path:
        """What the release gate said: a DECISION a challenger."""
        return self.reports / "decisions"

    @property
    def monitoring_reports(self) -> Path:
        """Drift reports (HTML and JSON) and the Evidently workspace; not in git."""
        return self.state / "monitoring"

    @property
    def data_reports(self) -> Path:
        """A readable page for each judged batch: `<contract>/<batch_id>.html`; not in git."""
        return self.state / "data-reports"

    @property
    def demo_report(self) -> Path:
        """What `footfall demo` did."""
        return self.reports / "demo.json"

    # .footfall/: all state
    @property
    def state(self) -> Path:
        """All state, out of git."""
        return self.root / ".footfall"

    @property
    def landing(self) -> Path:
        """Candidate batches between landing and the gate."""
        return self.state / "landing"

    @property
    def store(self) -> Path:
        """The SQLite live store."""
        return self.state / "store.db"

    @property
    def key(self) -> Path:
        """The pseudonym key, mode 0600."""
        return self.state / "pseudonym.key"

    @property
    def lease(self) -> Path:
        """Lock file of the retrain lease."""
        return self.state / "retrain.lease"

    @property
    def ingest_lease(self) -> Path:
        """Lock file of whoever changes or digests `data/raw`."""
        return self.state / "ingest.lease"

    @property
    def prefect_home(self) -> Path:
        """PREFECT_HOME."""
        return self.state / "prefect"

    @property
    def bentoml_home(self) -> Path:
        """BENTOML_HOME: model store and built bentos."""
        return self.state / "bentoml"

    @property
    def dvc_site_cache(self) -> Path:
        """DVC_SITE_CACHE_DIR, which would else lie in the machine's own folders."""
        return self.state / "dvc"

    @property
    def watermarks(self) -> Path:
        """Up to which moment each source has been ingested."""
        return self.state / "watermarks.json"

    @property
    def logs(self) -> Path:
        """Output of the processes that a verb starts."""
        return self.state / "logs"

    @property
    def spill(self) -> Path:
        """What the table engine could not hold in memory; empty when no stage runs."""
        return self.state / "spill"

    @property
    def training(self) -> Path:
        """The state of a training run that has not ended."""
        return self.state / "training"

    @property
    def tensorboard(self) -> Path:
        """Learning curves for TensorBoard, a folder a run, where they are asked for."""
        return self.state / "tensorboard"

    @property
    def workspace(self) -> Path:
        """Where the demo's workspace lies below a checkout."""
        return self.state / "workspace"

    @property
    def remote(self) -> Path:
        """DVC's remote where nobody has set another: `footfall init` names it in the workspace's own DVC settings."""
        return self.state / "remote"

    @property
    def push_owed(self) -> Path:
        """Stands from before a push until it is done: a push that was refused or killed is owed, and the next one makes good for it."""
        return self.state / "push-owed"

    @property
    def cache(self) -> Path:
        """DVC's cache, shared between a checkout and its workspaces."""
        return self.state / "cache"
