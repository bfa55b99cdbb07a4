from __future__ import annotations

import numpy as np
import pytest
import torch

import tiny_gtzan
from genred.errors import BadInputError
from genretrain import checkpoint, loop, recipe
from genretrain.cli import main
from test_loop import fit, refused, weights, write_recipe

SURE = torch.eye(10)[[3]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_gtzan.write(tmp_path_factory.mktemp("tiny"))


class Certain(torch.nn.Module):
    """A teacher that always says the same."""

    def __init__(self, genre: int) -> None:
        super().__init__()
        self.genre = genre

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return 100.0 * torch.eye(10)[[self.genre] * len(crops)]


def test_what_is_to_be_answered_is_partly_the_ensembles_answer():
    """Its mean probability in its share, the genre in the rest; outliers stay as they are."""
    targets = torch.cat([SURE, torch.full((1, 10), 0.1)])
    plan = recipe.from_dict({"teachers": ["a", "b"], "distillation": 0.4})
    told = loop._taught_by([Certain(3), Certain(5)], torch.zeros(2, 16, 8), targets, plan)
    expected = np.zeros(10)
    expected[[3, 5]] = 0.8, 0.2
    np.testing.assert_allclose(told[0], expected, atol=1e-6)
    np.testing.assert_allclose(told[1], 0.1, atol=1e-6)


def test_a_network_learns_from_the_runs_beside_it(data, tmp_path, monkeypatch):
    """Another share of theirs leads to other weights; a teacher that is not there is named."""
    monkeypatch.chdir(tmp_path)
    for name, changed in (
        ("first", {}),
        ("little", {"teachers": ["first"], "distillation": 0.1}),
        ("much", {"teachers": ["first"], "distillation": 1.0}),
    ):
        path = write_recipe(tmp_path / f"{name}.toml", **changed)
        main(["fit", str(path), "--data", str(data), "--split", "random", "--seed", "3"])
    little, much = (weights(tmp_path / "runs" / f"{name}-random-3") for name in ("little", "much"))
    assert any(not torch.equal(much[key], value) for key, value in little.items())
    assert checkpoint.load_best(tmp_path / "runs/much-random-3")[0].teachers == ("first",)


def test_a_distilled_run_goes_on(data, tmp_path, capsys):
    """Its recipe, with a list in it, is known again."""
    main(fit(write_recipe(tmp_path / "first.toml"), data, tmp_path / "first-random-0"))
    path = write_recipe(tmp_path / "second.toml", teachers=["first"], distillation=0.5)
    main(fit(path, data, tmp_path / "run"))
    capsys.readouterr()
    main(fit(path, data, tmp_path / "run"))
    assert "going on after epoch" in capsys.readouterr().out


def test_a_teacher_that_is_not_there(data, tmp_path, capsys):
    """The sentence names its folder."""
    path = write_recipe(tmp_path / "tiny.toml", teachers=["none"], distillation=0.5)
    assert "none-random-0" in refused(capsys, *fit(path, data, tmp_path / "run"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"teachers": ["a"]}, "distillation is 0.0, but must be above 0 with teachers"),
        ({"distillation": 0.5}, "distillation is 0.5, but must be above 0 with teachers"),
        ({"teachers": "a", "distillation": 0.5}, "teachers is 'a', but must be a list of texts"),
        ({"teachers": [1], "distillation": 0.5}, "teachers is \\[1\\], but must be a list of texts"),
    ],
)
def test_recipes_that_cannot_be(table, said):
    """One sentence says which key, and what it must be."""
    with pytest.raises((BadInputError, TypeError, ValueError), match=said):
        recipe.from_dict(table)
