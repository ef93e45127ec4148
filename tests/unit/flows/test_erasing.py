"""A user is erased from a whole workspace: store, files, DVC's cache and remote; the certificate says where, when and what cannot be rebuilt."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows import erasing
from flows.certificates import path_of
from flows.lease import lease
from flows.versions import repository
from flows.versions.commands import dvc, git
from footfall.documents import ErasureCertificate
from footfall.errors import ErasureError
from footfall.paths import Paths
from footfall.settings import Settings
from footfall.sources import landing
from footfall.store import Engine, erasures, events, open_store
from tests.unit.flows import small_workspace as small
from tests.unit.flows.small_workspace import USERS_HERE, copy, fill_store, settings_of, table, traces, user


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.make(tmp_path_factory.mktemp("template"))


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return copy(template, tmp_path)


@pytest.fixture
def settings(root: Path) -> Settings:
    """The workspace with an SQLite store of its own."""
    made = settings_of(root, f"sqlite:///{root / '.footfall' / 'store.db'}")
    engine = open_store(made.store_url)
    fill_store(engine)
    engine.dispose()
    return made


def places(certificate: ErasureCertificate) -> dict[str, int]:
    return {place["place"]: place["rows"] for place in certificate.places}


@pytest.mark.trial
def test_an_erased_user_is_gone_from_every_place_on_every_database(root: Path, engine: Engine, store_url: str, trial: Any) -> None:
    fill_store(engine)
    settings, rounds, seconds = settings_of(root, store_url), trial.count(small=1, stated=10), []
    for number in range(rounds):
        name = user(number)
        assert len(traces(root, name)) > 10
        (certificate,) = erasing.erase(settings, [name])

        assert traces(root, name) == []
        assert events.history(engine, name, 2**60, 10).item_ids == []
        assert not any(erasing.look(settings, erasures.subject_of(name), datetime.now(UTC)).values())
        assert all(traces(root, user(other)) for other in range(number + 1, USERS_HERE))
        assert {release["release_id"] for release in certificate.releases} == ({f"s{number - 1}"} if number else {"r0", "r1"})  # each is lost once
        assert name not in certificate.to_json()
        assert certificate.seconds is not None
        assert certificate.seconds < 60
        seconds.append(certificate.seconds)
        if number + 1 < rounds or store_url.startswith("sqlite"):
            small.release(root, f"s{number}")  # the next retrain
            assert traces(root, name) == []
            assert dvc(root, "status", "--quiet") == []
    trial.note(rounds=rounds, left=0, slowest_s=max(seconds))


def test_the_certificate_counts_rows_by_place_and_names_what_cannot_be_rebuilt(settings: Settings, root: Path) -> None:
    (certificate,) = erasing.erase(settings, [user(3)])
    rows = {"raw batches": 5, "held batches": 1, "quarantine": 1, "landing": 1, "tables": 5, "sequences": 4}
    objects = 5 + (2 + 4 + 1) + (2 + 4)  # raw batches; tables and sequences of two releases, which share their users
    rows |= {"dvc cache": objects, "dvc remote footfall": objects}
    stored = {"store events": 4, "store exposures": 1, "store consents": 1, "store withdrawals": 0, "store users": 0, "store relations": 0}
    assert places(certificate) == stored | rows
    assert all(place["at"] for place in certificate.places)
    assert certificate.releases == [{"release_id": name, "revision": git(root, "rev-list", "-n1", f"release/{name}")} for name in ("r0", "r1")]
    path = path_of(settings.paths, certificate.erasure_id)
    assert ErasureCertificate.from_json(path.read_text()) == certificate
    assert repository.is_clean(root)  # committed, so that no retrain undoes it
    engine = open_store(settings.store_url)
    assert [one.certificate for one in erasures.list_all(engine)] == [certificate.to_json()]
    engine.dispose()


def test_a_release_that_never_had_the_user_can_still_be_rebuilt(settings: Settings, root: Path) -> None:
    paths = settings.paths
    small.accept(paths, small.EVENTS, "shop-2018-01", [small.event("late", 99, 130)])
    small.release(root, "r2")
    (certificate,) = erasing.erase(settings, [user(99)])
    assert [release["release_id"] for release in certificate.releases] == ["r2"]
    git(root, "checkout", "--quiet", "release/r1")
    dvc(root, "checkout", "--quiet", "--force")
    assert dvc(root, "status", "--quiet") == []


def test_erasing_somebody_who_is_not_here_changes_no_object(settings: Settings, root: Path) -> None:
    head = repository.revision(root)
    (certificate,) = erasing.erase(settings, [user(77)])
    assert not any(places(certificate).values())
    assert certificate.releases == []
    assert git(root, "diff", "--name-only", head).split() == [f"reports/erasures/{certificate.erasure_id}.json"]


def test_somebody_who_comes_back_stays_and_is_no_leftover(settings: Settings, root: Path) -> None:
    erasing.erase(settings, [user(1)])
    engine = open_store(settings.store_url)
    record = erasures.list_all(engine)[0]
    days = (datetime.now(UTC) - small.SEPTEMBER) / timedelta(days=1)
    new = [small.event("new", 1, days + 0.1)]
    events.append(engine, table(new))
    engine.dispose()
    small.accept(settings.paths, small.EVENTS, "shop-2030-01", new + small.rows_of("x", 100))
    kept = landing.read_receipt(settings.paths.raw / "events" / "shop-2030-01").rows
    erasing.erase(settings, [user(2)])
    assert landing.read_receipt(settings.paths.raw / "events" / "shop-2030-01").rows == kept - 2  # user 2, and user 1's of before
    assert not any(erasing.look(settings, record.subject, record.requested_at).values())
    assert traces(root, user(1))


def test_while_somebody_holds_the_lease_the_store_is_clean_and_the_rest_is_on_record(settings: Settings, root: Path) -> None:
    with lease(settings.paths.ingest_lease, "an ingest at work"):
        done = subprocess.run(
            [sys.executable, "-c", _ERASE, str(root), settings.store_url, user(4), "0.1"], capture_output=True, text=True, check=False
        )
    assert "BusyError" in done.stderr
    engine = open_store(settings.store_url)
    assert events.history(engine, user(4), 2**60, 10).item_ids == []
    assert len(erasing.waiting(engine)) == 1
    with pytest.raises(ErasureError, match="an erasure came in between"):
        erasing.require_made_since(root, engine)
    erasing.finish_waiting(settings)  # the next retrain
    assert erasing.waiting(engine) == []
    assert traces(root, user(4)) == []
    with pytest.raises(ErasureError, match="trained before an erasure"):
        erasing.require_made_since(root, engine)
    small.release(root, "r2")
    erasing.require_made_since(root, engine)
    engine.dispose()


_ERASE = """
import sys
from pathlib import Path
from flows import erasing
from tests.unit.flows.small_workspace import settings_of
erasing.erase(settings_of(Path(sys.argv[1]), sys.argv[2]), [sys.argv[3]], wait_s=float(sys.argv[4]))
"""


@pytest.mark.trial
def test_an_erasure_that_is_killed_is_finished_by_doing_it_again(settings: Settings, root: Path, template: Path, tmp_path: Path, trial: Any) -> None:
    kills = trial.count(small=1, stated=10)
    command = [sys.executable, "-c", _ERASE, str(root), settings.store_url]
    began = time.monotonic()
    assert subprocess.run([*command, user(11), "5"], check=False).returncode == 0
    whole = time.monotonic() - began
    counts = []
    for number in range(kills):
        child = subprocess.Popen([*command, user(number), "5"])
        time.sleep(whole * (0.35 + 0.6 * number / max(kills - 1, 1)))
        child.kill()
        child.wait()
        engine = open_store(settings.store_url)
        killed = len(erasures.unfinished(engine))
        engine.dispose()
        certificates = erasing.erase(settings, [user(number)])
        assert traces(root, user(number)) == []
        if killed:
            counts.append(places(certificates[0])["raw batches"])
        assert not any((Paths(root).landing / ".replacing").glob("*"))
    assert all(count == 5 for count in counts), counts
    trial.note(kills=kills, unfinished=len(counts), left=0)
