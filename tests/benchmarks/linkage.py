"""How long linkage takes beside Splink's own train, predict and cluster on the same records and machine.

    python tests/benchmarks/linkage.py [RECORDS]

Without a number, 1,041,429 records of four agencies. Each side runs in a process of its own: seconds, peak memory and
pairwise quality are printed. Then one record in a hundred changes, and a night that scores only what changed is timed
beside a full one; both must give the same files.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
import million  # noqa: E402

import linkage  # noqa: E402

RECORDS = 1_041_429
DUPLICATE_FREE = ("behavioral_health", "child_welfare", "court", "medicaid")
CUT = dt.date(2025, 6, 30)


def plain_splink(home: Path) -> None:
    """Splink as its documentation shows it, on the standardised records; writes a crosswalk of its clusters."""
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    con = duckdb.connect(config={"threads": "2"})
    con.execute(
        f"create table r as select rid as unique_id, first_std, last_std, dob, sex, ssn, zip, middle_std, "
        f"source_system as src, source_record_id from read_parquet('{home / 'out' / 'work' / 'records.parquet'}')"
    )
    api = DuckDBAPI(con)
    rules = [
        block_on("ssn"),
        block_on("first_std", "last_std", "substr(dob, 1, 4)"),
        block_on("dob", "substr(first_std, 1, 3)"),
        block_on("dob", "last_std"),
        block_on("first_std", "last_std", "zip"),
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.JaroWinklerAtThresholds("first_std", [0.92, 0.8]).configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("last_std", [0.92, 0.8]).configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("dob", [1, 2]),
            cl.ExactMatch("sex"),
            cl.ExactMatch("middle_std"),
            cl.LevenshteinAtThresholds("ssn", 1),
            cl.ExactMatch("zip"),
        ],
        blocking_rules_to_generate_predictions=rules,
    )
    linker = Linker(api.register("r", table_name="records_to_link"), settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match([block_on("first_std", "last_std", "dob")], 0.7)
    linker.training.estimate_u_using_random_sampling(5e6, seed=1)
    for rule in (block_on("first_std", "last_std"), block_on("dob")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule, max_pairs=1e6)
    predicted = linker.inference.predict(threshold_match_weight=0)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, 0.95)
    target = home / "plain"
    target.mkdir(exist_ok=True)
    con.execute(
        f"copy (select r.src as source_system, r.source_record_id, c.cluster_id::varchar as person_id from r join "
        f"{clusters.physical_name} c using (unique_id)) to '{target / 'person_crosswalk.parquet'}' (format parquet)"
    )


def ours(home: Path) -> None:
    """The whole way of the ``link`` command; what comes after the IDs (families, files, report) is told apart."""
    done = linkage.link_files([home / "records.parquet"], home / "out", home / "relationships.parquet", DUPLICATE_FREE)
    (home / "seconds.json").write_text(json.dumps(done["seconds"]))


def night(home: Path, folder: str, full: bool) -> None:
    """A night without training, in ``folder``, on the records staged there."""
    place = home / folder
    linkage.build_records(place / "staged", place / "linkage")
    linkage.score(place / "linkage", home / "out" / "work" / "models" / "model", full=full)
    linkage.resolve(place / "linkage", place / "registry", CUT, b"benchmark")
    linkage.build_families(place / "linkage", place / "registry", CUT, b"benchmark")


def _timed(home: Path, step: str) -> tuple[float, float]:
    """Seconds and peak MB of one step in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, str(home)], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - start, float(done.stdout.split()[-1])


def _stage(home: Path, folder: str, is_changed: bool) -> None:
    staged = home / folder / "staged"
    staged.mkdir(parents=True, exist_ok=True)
    changed = "case when hash(source_record_id) % 100 = 0 then 'CHANGED' || last_name else last_name end"
    con = duckdb.connect()
    con.execute(
        f"copy (select * replace ({changed if is_changed else 'last_name'} as last_name) "
        f"from '{home / 'records.parquet'}') to '{staged / 'all__person_records.parquet'}' (format parquet)"
    )
    con.execute(
        f"copy (from '{home / 'relationships.parquet'}') to '{staged / 'all__relationships.parquet'}' (format parquet)"
    )
    con.close()


def main(records: int) -> None:
    """Generate, link both ways, change a hundredth, link again, print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        n = million.write(home, records)
        times = {step: _timed(home, step) for step in ("ours", "plain_splink")}
        for step, place in (("ours", home / "out" / "work"), ("plain_splink", home / "plain")):
            found = linkage.evaluate(place, home / "truth")
            seconds, peak = times[step]
            print(
                f"{step:13} {seconds:7.1f} s {peak:6.0f} MB  {n:,} records  P {found.precision:.4f}  "
                f"R {found.recall:.4f}  F1 {found.f1:.4f}  exact {found.exact:.4f}",
                flush=True,
            )
        steps, more = json.loads((home / "seconds.json").read_text()), times["ours"][0] - times["plain_splink"][0]
        print(" ".join(f"{name} {seconds}," for name, seconds in steps.items()), flush=True)
        late = steps["files and report"]
        print(
            f"longer than plain Splink: {more - late - steps['families']:.1f} s until everybody has an ID, "
            f"{more - late:.1f} s until a family, {more:.1f} s in all",
            flush=True,
        )
        _stage(home, "night", False)
        print(f"first night of all {_timed(home, 'night_full')[0]:.1f} s", flush=True)
        subprocess.run(["cp", "-r", str(home / "night"), str(home / "again")], check=True)
        for place in ("night", "again"):
            _stage(home, place, True)
        some, full = _timed(home, "night_some")[0], _timed(home, "again_full")[0]
        print(f"a hundredth changed: {some:.1f} s, in full {full:.1f} s, ratio {some / full:.2f}", flush=True)
        for name in ("edges", "person_crosswalk", "family_member"):
            one, other = (home / place / "linkage" / f"{name}.parquet" for place in ("night", "again"))
            different = duckdb.sql(
                f"select count(*) from ((from '{one}' except from '{other}') "
                f"union all (from '{other}' except from '{one}'))"
            ).fetchall()[0][0]
            print(f"{name}: {different} rows differ", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        _, _, step, where = sys.argv
        if "_" in step and step != "plain_splink":
            night(Path(where), step.split("_")[0], step.endswith("full"))
        else:
            {"ours": ours, "plain_splink": plain_splink}[step](Path(where))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)
