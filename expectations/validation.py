"""Great Expectations, asked once about one table: the only module that meets it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expectations.rules import Rule
from footfall.settings import TELEMETRY_OFF

if TYPE_CHECKING:
    import pandas as pd

Results = dict[str, dict[str, Any]]
"""By rule key: `success`, `result` in Great Expectations' own words, and `error`, an exception inside the check."""
_ONE_AT_A_TIME = threading.Lock()


def validate(frame: pd.DataFrame, rules: Sequence[Rule], parameters: dict[str, Any]) -> Results:
    """Hold `frame` against `rules`; `parameters` are the values that the rules name by `$PARAMETER`."""
    os.environ.update({name: os.environ.get(name, value) for name, value in TELEMETRY_OFF.items()})
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    # Great Expectations keeps its context in a global, so threads take turns.
    with _ONE_AT_A_TIME:
        # Without a documentation site, which would leave a folder in /tmp for each context.
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        quiet = ProgressBarsConfig(globally=False, metric_calculations=False)
        context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores, progress_bars=quiet))
        batch = (
            context.data_sources.add_pandas("door")
            .add_dataframe_asset("rows")
            .add_batch_definition_whole_dataframe("all")
            .get_batch({"dataframe": frame})
        )
        expectations = [{"type": rule.type, "kwargs": rule.kwargs, "severity": rule.severity, "meta": {"key": rule.key}} for rule in rules]
        suite = gx.ExpectationSuite(name="rules", expectations=expectations)
        # One call, because each hashes the whole frame. COMPLETE names every failing row.
        outcome = batch.validate(suite, result_format={"result_format": "COMPLETE"}, expectation_parameters=parameters)
    results = {}
    for result in outcome.results:
        config = result.expectation_config
        if config is None:
            raise RuntimeError("Great Expectations gave a result without its expectation")
        results[config.meta["key"]] = {"success": result.success, "result": result.result, "error": _error(result.exception_info)}
    return results


def _error(info: dict[str, Any] | None) -> str | None:
    """The message of an exception inside a check; Great Expectations nests it by metric, or not."""
    if not info:
        return None
    if "raised_exception" in info:
        return str(info["exception_message"]).strip().splitlines()[0] if info["raised_exception"] else None
    messages = [_error(inner) for inner in info.values() if isinstance(inner, dict)]
    return next((message for message in messages if message), None)
