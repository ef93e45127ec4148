"""The engines that expressions run on: every test that asks for `table_engine` runs on DuckDB and on Spark.

Spark is Java: where there is none its tests are skipped, loudly, and in CI they fail. One session serves all tests of a process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from footfall.frames.engine import DUCKDB, Engine, open_engine

SPARK = "local[2]"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Spark on this machine; it starts once, and engines that are opened while it runs join its session."""
    if shutil.which("java") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have Java 17 (Debian: default-jre-headless): expressions are tested on Spark too")
        pytest.skip("no Java: expressions were NOT tested on Spark")
    from pyspark.sql import SparkSession

    engine = open_engine(SPARK, scratch=str(tmp_path_factory.mktemp("spark")), memory="1GB")
    running = SparkSession.getActiveSession()
    assert running is not None
    running.conf.set("spark.sql.codegen.wholeStage", "false")  # to compile a query takes longer than a few rows do
    running.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """DuckDB in this process."""
    engine = open_engine(DUCKDB, scratch=str(tmp_path_factory.mktemp("duckdb")), memory="1GB", threads=2)
    yield engine
    engine.close()


@pytest.fixture(scope="session", params=["duckdb", "spark"])
def table_engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    found: Engine = request.getfixturevalue(request.param)
    return found
