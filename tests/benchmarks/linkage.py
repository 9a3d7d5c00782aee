"""How long linkage takes beside Splink's own train, predict and cluster on the same records and machine.

    python tests/benchmarks/linkage.py [HOUSEHOLDS]

6,000 households are about 46,000 records, 136,000 about a million. Prints seconds of each and pairwise quality.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "linkage")]
import linkage_population  # noqa: E402

import linkage  # noqa: E402


def plain_splink(home: Path) -> float:
    """Splink as its documentation shows it, on the standardised records; writes a crosswalk of its clusters."""
    start = time.perf_counter()
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
    seconds = time.perf_counter() - start
    target = home / "plain"
    target.mkdir(exist_ok=True)
    con.execute(
        f"copy (select r.src as source_system, r.source_record_id, c.cluster_id::varchar as person_id from r join "
        f"{clusters.physical_name} c using (unique_id)) to '{target / 'person_crosswalk.parquet'}' (format parquet)"
    )
    return seconds


def main(households: int) -> None:
    """Generate, link both ways, print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        linkage_population.write(home, "survey", seed=5, households=households)
        start = time.perf_counter()
        linkage.link_files(
            [home / "records.parquet"],
            home / "out",
            home / "relationships.parquet",
            linkage_population.DUPLICATE_FREE["survey"],
        )
        ours = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        plain = plain_splink(home)
        for name, seconds, place in (("kinweave", ours, home / "out" / "work"), ("splink", plain, home / "plain")):
            found = linkage.evaluate(place, home / "truth")
            print(
                f"{name:9} {seconds:7.1f} s  {found.records:,} records  P {found.precision:.4f}  "
                f"R {found.recall:.4f}  F1 {found.f1:.4f}  exact {found.exact:.4f}"
            )
        print(f"difference {ours - plain:.1f} s, ratio {ours / plain:.2f}, peak memory of ours {peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
