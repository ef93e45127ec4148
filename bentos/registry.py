"""The BentoML model store: where released bundles lie, each under the tag `footfall:<release_id>`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footfall.bundle_folder import require_signature, sign_bundle
from footfall.errors import ReleaseError
from footfall.paths import is_release_id
from footfall.settings import load_settings
from footfall.signing import VerifyKeys

if TYPE_CHECKING:
    from footfall.store.releases import Release

MODEL_NAME = "footfall"
_FOLDER = "bundle"  # BentoML writes a file of its own beside it, and a bundle takes no strangers


def register(bundle: Path, release_id: str, metadata: Mapping[str, Any], *, home: Path | None = None) -> str:
    """Copy a bundle into the model store and return its tag; one that is there already stays as it is.

    Args:
        bundle: the bundle's folder.
        release_id: its release id, which names the tag.
        metadata: plain values worth keeping beside it.
        home: BENTOML_HOME (default: the environment's, or the settings').

    Raises:
        ReleaseError: the release id is none, the model store's folders lead out of it, or the bundle holds a link, which BentoML would follow.
    """
    import bentoml
    from bentoml.exceptions import NotFound

    tag, store = f"{MODEL_NAME}:{release_id}", _model_store(home)
    _place(tag, home)
    try:
        bentoml.models.get(tag, _model_store=store)
    except NotFound:
        if links := [path for path in bundle.rglob("*") if path.is_symlink()]:
            again = "make it again with 'dvc repro bundle'"
            raise ReleaseError("bundle holds a link", where=links[0], expected="plain files", found="a link", next_step=again) from None
        with bentoml.models.create(tag, metadata=dict(metadata), labels={"release": release_id}, _model_store=store) as model:
            shutil.copytree(bundle, model.path_of(_FOLDER))
    return tag


def bundle_path(tag: str, *, home: Path | None = None) -> Path:
    """The folder of a registered bundle. It is not verified here: whoever opens it does.

    BentoML's own look-up also finds "latest", a name that only begins like this, and whatever a link leads to: here a tag is one folder.

    Raises:
        ReleaseError: this is no tag of a release, the store has no such model, or its folder leads out of the store.
    """
    folder = _place(tag, home)
    if not folder.is_dir():
        raise _missing(tag, home)
    return folder


def vouch(release: Release, signing_key: bytes | None, verify_keys: VerifyKeys, *, home: Path | None = None) -> None:
    """Sign the registered bundle of a release that is to serve, where there is a key, and make sure that the service will take it.

    Raises:
        ReleaseError: there is no such bundle.
        BundleError: it is not the one that was judged, or not signed by a trusted key.
    """
    if signing_key is None and not verify_keys:
        return
    folder = bundle_path(release.model_tag, home=home)
    if signing_key is not None:
        sign_bundle(folder, signing_key, str(release.metrics.get("bundle_digest") or release.release_id.removeprefix("r")))
    if verify_keys:
        require_signature(folder, verify_keys)


def _place(tag: str, home: Path | None) -> Path:
    """Where the bundle of `tag` is, or would be."""
    name, _, release_id = tag.partition(":")
    if name != MODEL_NAME or not is_release_id(release_id):
        raise _missing(tag, home)
    models = (bentoml_home(home) / "models").resolve()
    folder = models / MODEL_NAME / release_id / _FOLDER
    if folder.resolve() != folder:
        raise ReleaseError(
            "model store holds a link", where=folder, expected="folders of its own", found="a link", next_step="put the bundle itself there"
        )
    return folder


def _missing(tag: str, home: Path | None) -> ReleaseError:
    expected = f"a model {tag!a:.80}"
    return ReleaseError(
        "release is not in the model store", where=bentoml_home(home), expected=expected, found="none", next_step="footfall release list"
    )


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
