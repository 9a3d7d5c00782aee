"""When things end: at midnight, at once, or with the next load, as each is meant to; and nobody can put it off."""

import datetime as dt
import threading
import time

import psycopg
import pytest
import yaml

from pipelines.releases.serve import ServeError, differences, granted, resume, shares, stop
from tests.serving.partner_folders import TODAY, copy_agreements, public_key, write_release

DAY = dt.timedelta(1)


def count(connection, table="dim_site"):
    return connection.execute(f"select count(*) from {table}").fetchone()[0]


def test_an_agreement_ends_at_midnight_where_the_jurisdiction_is_and_nothing_is_rebuilt(small):
    partners = write_release(small.root, small.agreements)
    margin = 3
    while True:
        # A zone in which midnight is `margin` seconds away. In POSIX's writing, west counts forward.
        now = dt.datetime.now(dt.UTC)
        ahead = 24 * 3600 - margin - (now.hour * 3600 + now.minute * 60 + now.second)
        zone = f"KWX-{ahead // 3600:02d}:{ahead // 60 % 60:02d}:{ahead % 60:02d}"
        copy_agreements(small.agreements, ["medicaid_agency", "public"], public={"expires": now.date() + DAY})
        small.load(partners, zone=zone, day=now.date())
        with small.as_partner("public") as open_session, small.as_partner("public") as in_transaction:
            in_transaction.execute("begin isolation level repeatable read")
            if count(in_transaction) == 0:
                margin *= 2  # The load took longer than that.
                continue
            while count(open_session) > 0:
                time.sleep(0.1)
            assert count(in_transaction) == 0  # not even for a transaction that began the day before
            assert count(open_session, "about") == 1  # what was agreed and until when can still be read
            assert count(open_session, "data_dictionary") == 0
        with small.as_partner("medicaid_agency") as other:
            assert count(other, "dim_child") == 3
        return


@pytest.mark.parametrize(("zone", "is_over"), [("Pacific/Kiritimati", True), ("Etc/GMT+12", False)])
def test_the_same_instant_is_another_day_elsewhere(small, zone, is_over):
    # These two zones are 26 hours apart: whatever the hour, the first is at least a day ahead.
    ends = dt.datetime.now(dt.timezone(dt.timedelta(hours=14))).date()
    copy_agreements(small.agreements, ["public"], public={"expires": ends})
    small.load(write_release(small.root, small.agreements), zone=zone, day=ends - DAY)
    with small.as_partner("public") as connection:
        assert count(connection) == (0 if is_over else 3)


def test_an_agreement_that_begins_tomorrow_shows_nothing_today(small):
    copy_agreements(small.agreements, ["public"], public={"effective": TODAY + DAY})
    small.load(write_release(small.root, small.agreements), day=TODAY + DAY)
    with small.as_partner("public") as connection:
        assert count(connection) == 0


def test_withdrawn_agreements_narrower_ones_and_a_stopped_partner(small):
    """One story: load, narrow, withdraw, stop, resume. Each is everywhere after the load, and only it."""
    partners = write_release(small.root, small.agreements)
    small.load(partners)
    with small.as_partner("public") as public, small.as_partner("medicaid_agency") as medicaid:
        assert (count(public), count(medicaid, "dim_child")) == (3, 3)

        _edit(small, "medicaid_agency", lambda a: a["datasets"]["dim_child"]["columns"].remove("sex"))
        assert small.load(partners).rebuilt == 1
        with pytest.raises(psycopg.errors.UndefinedColumn):
            medicaid.execute("select sex from dim_child")
        assert count(medicaid, "dim_child") == 3
        assert count(medicaid, "data_dictionary where column_name = 'sex'") == 0

        _edit(small, "public", lambda a: a.update(withdrawn=TODAY))
        done = small.load(partners)
        assert (done.rebuilt, done.dropped) == (0, 5)
        for table in ("dim_site", "measure_rows", "about"):
            with pytest.raises(psycopg.errors.UndefinedTable):
                count(public, table)
        assert count(medicaid, "dim_child") == 3

        _edit(small, "public", lambda a: a.pop("withdrawn"))
        small.load(partners)
        assert count(public) == 3

        stop(small.owner, "medicaid_agency")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            count(medicaid, "dim_child")
        assert count(public) == 3
        assert small.load(partners).stopped == ("medicaid_agency",)
        with pytest.raises(psycopg.errors.UndefinedTable):
            count(medicaid, "dim_child")

        resume(small.owner, "medicaid_agency")
        small.load(partners)
        assert count(medicaid, "dim_child") == 3

        stop(small.owner, "public")
        resume(small.owner, "public")
        small.load(partners)
        assert count(public) == 3


def test_an_agreement_that_replaced_another_waits_for_the_next_release(small):
    partners = write_release(small.root, small.agreements)
    agreement = yaml.safe_load((small.agreements / "public.yml").read_text())
    later = {**agreement, "agreement": "PUB-NEW", "supersedes": agreement["agreement"], "effective": TODAY}
    (small.agreements / "later.yml").write_text(yaml.safe_dump(later))
    # The rows were chosen under the old one; whether the new one covers them nobody has decided yet.
    small.load(partners)
    with small.as_partner("public") as connection, pytest.raises(psycopg.errors.UndefinedTable):
        count(connection)


def test_files_only_is_not_served(small):
    _edit(small, "public", lambda a: a.update(delivery={"modes": ["files"]}))
    small.load(write_release(small.root, small.agreements))
    with small.as_partner("public") as connection, pytest.raises(psycopg.errors.UndefinedTable):
        count(connection)


def test_an_open_transaction_cannot_put_off_that_rights_are_taken_or_a_release_comes(small):
    partners = write_release(small.root, small.agreements)
    small.load(partners)
    stubborn = small.connect("partner_public")
    stubborn.execute("begin isolation level repeatable read")
    stubborn.execute("set idle_in_transaction_session_timeout = 0")
    assert count(stubborn) == 3
    _edit(small, "public", lambda a: a.update(withdrawn=TODAY))
    small.load(partners, patience=0.2)
    with pytest.raises(psycopg.errors.AdminShutdown):
        count(stubborn)
    told = differences(
        shares(partners, small.book(), TODAY, public_key(small.root)),
        granted(small.server.uri(database=small.database)),
    )
    assert told == []


def test_rights_are_taken_even_when_the_load_then_fails(small):
    partners = write_release(small.root, small.agreements)
    small.load(partners)
    _edit(small, "public", lambda a: a["datasets"].pop("dim_site"))
    with small.as_partner("public") as connection, small.connect() as admin:
        admin.execute("alter table serving.made rename column digest to digestion")
        with pytest.raises(ServeError, match="PostgreSQL"):
            small.load(partners)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            count(connection)
        assert count(connection, "measure_rows") == 3


def test_a_transaction_older_than_a_changed_table_is_told_so_instead_of_finding_it_empty(small):
    partners = write_release(small.root, small.agreements)
    small.load(partners)
    with small.as_partner("public") as early:
        early.execute("begin isolation level repeatable read")
        early.execute("select 1")
        _edit(small, "public", lambda a: a["datasets"]["dim_site"]["columns"].remove("county_fips"))
        small.load(partners)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="begin it again"):
            count(early)
        early.execute("rollback")
        assert count(early) == 3


def test_two_loads_at_once_one_is_refused(small):
    partners = write_release(small.root, small.agreements)
    small.load(partners)
    with small.as_partner("public") as reader:
        reader.execute("begin")
        assert count(reader) == 3
        _edit(small, "public", lambda a: a["datasets"]["dim_site"]["columns"].remove("county_fips"))
        # The first waits for the reader, with the lock of loads in hand.
        waiting = threading.Thread(target=lambda: small.load(partners))
        waiting.start()
        with small.connect() as admin:
            while not admin.execute(
                "select 1 from pg_stat_activity where query ~ 'kinweave.locked' and pid <> pg_backend_pid()"
            ).fetchall():
                time.sleep(0.05)
        with pytest.raises(ServeError, match="another load"):
            small.load(partners)
        reader.execute("commit")
        waiting.join()


def test_a_database_or_a_role_that_is_not_prepared_is_said(server, small):
    partners = write_release(small.root, small.agreements)
    with psycopg.connect(server.uri("postgres", small.database), autocommit=True) as admin:
        admin.execute("alter role partner_public rename to partner_away")
        try:
            with pytest.raises(ServeError, match="no role partner_public: run `kinweave serve prepare`"):
                small.load(partners)
        finally:
            admin.execute("alter role partner_away rename to partner_public")
    with pytest.raises(ServeError, match="prepare needs a superuser"):
        from pipelines.releases.serve import prepare

        prepare(small.owner, [])


def _edit(served, recipient, change):
    path = served.agreements / f"{recipient}.yml"
    agreement = yaml.safe_load(path.read_text())
    change(agreement)
    path.write_text(yaml.safe_dump(agreement))
