"""``kinweave run --full`` reaches the step that scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import linkage
from pipelines import cli, night, summary


@pytest.mark.parametrize(("words", "full"), [([], False), (["--full"], True)])
def test_the_command_says_whether_everything_is_scored_again(
    words: list[str], full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def run_night(home: Any, **given: Any) -> night.Outcome:
        asked.append(given["full"])
        return night.Outcome("run", True)

    monkeypatch.setattr(night, "run_night", run_night)
    monkeypatch.setattr(summary, "show_outcome", lambda *a: None)
    (tmp_path / "jurisdiction.yml").write_text("")
    result = CliRunner().invoke(cli.app, ["run", "--home", str(tmp_path), *words])
    assert (result.exit_code, asked) == (0, [full])


@pytest.mark.parametrize("full", [False, True])
def test_the_step_scores_all_pairs_only_when_it_is_told(
    full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def score(folder: Path, model: Path, full: bool) -> dict[str, Any]:
        asked.append(full)
        return {"is_full": full}

    steady = {"drifted_names": [], "has_reference": True, "other_libraries": []}
    monkeypatch.setattr(linkage, "score", score)
    monkeypatch.setattr(linkage, "check_drift", lambda *a: steady)
    monkeypatch.setattr(night.Night, "model_dir", lambda self: tmp_path)
    (tmp_path / "jurisdiction.yml").write_text("")
    # Not above: the graph is drawn when this is first imported, for the deployment that is found then, and whoever
    # collects these tests may have a demo in the working folder.
    from pipelines.defs.linkage import person_scores
    from pipelines.defs.resources import Deployment

    list(person_scores(Deployment(home=str(tmp_path), full=full, is_locked=True)))
    assert asked == [full]
