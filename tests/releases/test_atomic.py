"""A release appears whole or not at all, whatever dies when; readers of the last one are never disturbed."""

import datetime as dt
import json

import pytest

from pipelines.releases import ReleaseError, current_release, releases, verify
from pipelines.releases.accounting import verify_audit
from pipelines.releases.publish import destroy
from pipelines.storage import read_jsonl
from tests.releases.killed import PARTNERS, Publisher, Readers, ReadersElsewhere, check_current, publish_number
from tests.releases.small_warehouse import build, publish_it


def test_killed_at_every_step_no_reader_meets_a_mixed_missing_or_unverifiable_release(tmp_path):
    releases_dir = tmp_path / "releases"
    with Publisher(tmp_path) as publisher:
        _, named = [publisher.publish(number) for number in (1, 2, 3)][-1]
        published, step, lived, pointer = {3}, 0, None, (releases_dir / "current.json").read_bytes()
        with ReadersElsewhere(releases_dir) as elsewhere, Readers(releases_dir) as here:
            while lived is None:
                step += 1
                # Every number is tried twice, so that some publications find their release there already.
                lived = publisher.publish(4 + step // 2, step)
                if step < named:
                    assert (releases_dir / "current.json").read_bytes() == pointer
                else:
                    published.add(check_current(tmp_path))
    assert here.problems == elsewhere.problems == []
    assert lived[0] < step, "every step was tried"
    assert len(published) > 10, "most kills fell after the pointer had moved"
    assert here.seen and elsewhere.seen and here.seen | elsewhere.seen <= published
    assert not list(releases_dir.glob(".*")), "what killed runs left was removed by the one that lived"
    assert len(releases(releases_dir)) == 2
    assert verify(current_release(releases_dir).folder) == []
    _accounted_for(tmp_path)


def _accounted_for(root):
    """Whatever was killed, the account holds every release, and the log each event of it once."""
    accounts = {p.stem for p in (root / "vault" / "governance" / "disclosures").glob("*.parquet")}
    certified = {p.stem for p in (root / "vault" / "governance" / "certificates").glob("*.json")}
    there = {p.name for p in releases(root / "releases")}
    log = root / "log" / "audit.jsonl"
    events = read_jsonl(log)
    assert verify_audit(log) == []
    told = [(e["release_id"], e["partner"]) for e in events if e["action"] == "published"]
    assert accounts == there | certified
    assert sorted(told) == sorted((release, partner) for release in accounts for partner in PARTNERS)
    assert sorted(e["release_id"] for e in events if e["action"] == "destroyed") == sorted(certified)


def test_killed_while_it_clears_up_after_a_kill_it_goes_on_clearing(tmp_path):
    with Publisher(tmp_path) as publisher:
        steps, _ = publisher.publish(1)
        assert publisher.publish(2, step=steps // 2) is None
        left = sum(len(list(p.rglob("*"))) for p in (tmp_path / "releases").glob(".building-*"))
        assert left > 10
        for step in range(1, left, 6):
            assert publisher.publish(2, step=-step) is None
            assert check_current(tmp_path) == 1
        assert publisher.publish(2)
    assert check_current(tmp_path) == 2
    assert not list((tmp_path / "releases").glob(".*"))


def test_readers_in_the_publishing_process_see_whole_releases_only(tmp_path):
    publish_number(tmp_path, 1)
    with Readers(tmp_path / "releases") as readers:
        for number in range(2, 7):
            publish_number(tmp_path, number)
            assert check_current(tmp_path) == number
    assert readers.problems == []
    assert readers.seen <= set(range(1, 7)) and len(readers.seen) > 1


def test_old_releases_go_and_the_current_one_stays(tmp_path):
    made = [publish_it(build(tmp_path, cases=n), keep=2).release_id for n in (3, 4, 5, 6)]
    assert {p.name for p in releases(tmp_path / "releases")} == set(made[-2:])
    assert current_release(tmp_path / "releases").release_id == made[-1]


def test_an_earlier_release_is_destroyed_with_a_certificate_and_the_current_one_never(tmp_path):
    home = build(tmp_path)
    first, second = (publish_it(build(tmp_path, cases=n)).release_id for n in (3, 4))
    for names in ([first, second], [first, "2020-01-01-0000000000"]):
        with pytest.raises(ReleaseError):
            destroy(home, names, dt.date(2026, 11, 1))
    assert len(releases(home.releases_dir)) == 2, "nothing is destroyed when one of them cannot be"
    destroy(home, [first], dt.date(2026, 11, 1))
    assert [p.name for p in releases(home.releases_dir)] == [second]
    told = json.loads((tmp_path / "vault" / "governance" / "certificates" / f"{first}.json").read_text())
    assert told["destroyed_on"] == "2026-11-01" and "kinweave.duckdb" in told["files"]
    assert [e["action"] for e in read_jsonl(tmp_path / "log" / "audit.jsonl")] == ["destroyed"]


def test_published_files_cannot_be_written(tmp_path):
    release = publish_it(build(tmp_path))
    for path in release.folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o444


def test_the_pointer_carries_the_hash_of_the_manifest_it_means(tmp_path):
    release = publish_it(build(tmp_path))
    pointer = json.loads((tmp_path / "releases" / "current.json").read_text())
    import hashlib

    assert pointer["manifest_sha256"] == hashlib.sha256((release.folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("leftover", [".building-abc", ".removing-2026-01-01-aaaaaaaaaa"])
def test_what_a_killed_run_left_is_no_release(tmp_path, leftover):
    home = build(tmp_path)
    publish_it(home)
    (home.releases_dir / leftover).mkdir()
    assert len(releases(home.releases_dir)) == 1
    publish_it(build(tmp_path, cases=5))
    assert not (home.releases_dir / leftover).exists()
