"""The BentoML model store: where released bundles lie, each under the tag `footfall:<release_id>`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footfall.errors import ReleaseError
from footfall.settings import load_settings

MODEL_NAME = "footfall"
_FOLDER = "bundle"  # BentoML writes a file of its own beside it, and a bundle takes no strangers


def register(bundle: Path, release_id: str, metadata: Mapping[str, Any], *, home: Path | None = None) -> str:
    """Copy a bundle into the model store and return its tag; one that is there already stays as it is.

    Args:
        bundle: the bundle's folder.
        release_id: its release id, which names the tag.
        metadata: plain values worth keeping beside it.
        home: BENTOML_HOME (default: the environment's, or the settings').
    """
    import bentoml
    from bentoml.exceptions import NotFound

    tag, store = f"{MODEL_NAME}:{release_id}", _model_store(home)
    try:
        bentoml.models.get(tag, _model_store=store)
    except NotFound:
        with bentoml.models.create(tag, metadata=dict(metadata), labels={"release": release_id}, _model_store=store) as model:
            shutil.copytree(bundle, model.path_of(_FOLDER))
    return tag


def bundle_path(tag: str, *, home: Path | None = None) -> Path:
    """The folder of a registered bundle. It is not verified here: whoever opens it does.

    Raises:
        ReleaseError: the store has no such model.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        return Path(bentoml.models.get(tag, _model_store=_model_store(home)).path_of(_FOLDER))
    except (BentoMLException, ValueError) as error:  # ValueError: no tag at all
        raise ReleaseError(
            "release is not in the model store",
            where=bentoml_home(home),
            expected=f"a model {tag!r}",
            found="none",
            next_step="footfall release list",
        ) from error


def built_with(service_file: Path) -> str | None:
    """The model tag of the release that a built bento was built with; None when the service runs from a checkout.

    Args:
        service_file: bentos/service.py as it runs, `<bento>/src/bentos/service.py` in a built bento.
    """
    import yaml

    description = service_file.resolve().parents[2] / "bento.yaml"
    if not description.exists():
        return None
    labels = yaml.safe_load(description.read_text(encoding="utf-8")).get("labels") or {}
    release_id = labels.get("release")
    return None if release_id is None else f"{MODEL_NAME}:{release_id}"


def bentoml_home(home: Path | None = None) -> Path:
    """`home`, or the environment's BENTOML_HOME, or the one below the settings' root."""
    stated = os.environ.get("BENTOML_HOME")
    return home or (Path(stated) if stated else load_settings().paths.bentoml_home)


def _model_store(home: Path | None) -> Any:
    from bentoml._internal.models import ModelStore

    folder = bentoml_home(home) / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return ModelStore(folder)
