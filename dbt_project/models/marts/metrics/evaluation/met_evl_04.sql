-- EVL-04: competing exits from care at 6 to 36 months by cause (Aalen-Johansen) and of any exit
-- (one minus Kaplan-Meier). Day 0 is the removal. Variants delayed_entry_* (sites only) watch a
-- child from the enrollment on, so that the time before it, in which the child could not have
-- exited and still be enrolled, is not credited to the site. The whole curves are in
-- evl_exit_curve. Basis: entry cohort. A horizon that only some were followed to is shown and
-- flagged: the estimate has them leave it at the cut-off, it is no partial share.
with
    {{ entry_cohort() }},

    {{ exit_causes() }},

    {{
        incidence_rows(
            "units",
            cells=horizon_cells(
                "EVL-04",
                {
                    "reunification_": "reunification",
                    "relative_or_guardianship_": "relative_or_guardianship",
                    "adoption_": "adoption",
                    "non_permanency_": "non_permanency",
                },
            )
            + horizon_cells("EVL-04", {"any_exit_": "any"}, curve="any_exit")
            + horizon_cells(
                "EVL-04",
                {
                    "delayed_entry_reunification_": "reunification",
                    "delayed_entry_relative_or_guardianship_": "relative_or_guardianship",
                    "delayed_entry_adoption_": "adoption",
                    "delayed_entry_non_permanency_": "non_permanency",
                },
                curve="delayed_entry",
            ),
            needs=["child_welfare"],
            version="1.2.0",
            sites_only=["delayed_entry"],
            show_immature=true,
        )
    }}
