"""Command line of genretrain. argparse and late imports: ``fit`` runs where only numpy and torch are installed."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genred.errors import BadInputError, GenredError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

PREPARED = Path("data/gtzan")
RESULTS = Path("train/results")
KINDS = ("random", "filtered", "fold")
DEVICES = ("cpu", "cuda")


def main(argv: list[str] | None = None) -> None:
    """Run genretrain on `argv`, or the process's own; exit code 2 for bad input, with one sentence."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except GenredError as error:
        print(f"genretrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "genred", "genretrain"):
            raise
        print(f"genretrain: this needs {library}: pip install 'genred[train]'", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"genretrain: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ngenretrain: interrupted; the same command goes on from the last epoch", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genretrain", description="Train the networks that genred runs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    learning = (_add_data, _add_fit, _add_export, _add_calibrate, _add_evaluate, _add_joined)
    for add in (*learning, _add_baseline, _add_ablation, _add_ladder, _add_reproduce):
        add(commands)
    return parser


def _add_data(commands: Commands) -> None:
    check = commands.add_parser("check", help="what there is of GTZAN in a folder, and what is wrong with it")
    check.add_argument("--data", type=Path, required=True, help="folder with genres/<genre>/ or logmel/")
    check.set_defaults(run=_check)

    repeats = commands.add_parser("repeats", help="pairs of tracks that hold the same recording -> a list")
    repeats.add_argument("--data", type=Path, default=PREPARED)
    repeats.add_argument("--out", type=Path, default=Path("train/splits/repeats.txt"))
    repeats.set_defaults(run=_repeats)

    prepare = commands.add_parser("prepare", help="GTZAN as audio or log-mels -> log-mel archives")
    prepare.add_argument("--data", type=Path, required=True, help="folder with genres/<genre>/ or logmel/")
    prepare.add_argument("--out", type=Path, default=PREPARED)
    prepare.set_defaults(run=_prepare)


def _add_fit(commands: Commands) -> None:
    fit = commands.add_parser("fit", help="train one recipe; goes on from its last epoch")
    fit.add_argument("recipe", type=Path, help="for example train/configs/crnn.toml")
    fit.add_argument("--data", type=Path, default=PREPARED)
    fit.add_argument("--seed", type=int, help="of split and initialisation, instead of the recipe's")
    fit.add_argument("--split", choices=KINDS, help="instead of the recipe's")
    fit.add_argument(
        "--out", type=Path, help="folder of the run (default runs/<recipe>[-<split>][-<seed>], of those given)"
    )
    fit.add_argument("--device", default="cpu", choices=DEVICES)
    fit.add_argument("--threads", type=_positive, default=1, help="of the CPU; more than one gains little")
    fit.set_defaults(run=_fit)


def _add_export(commands: Commands) -> None:
    export = commands.add_parser("export", help="best epoch of a run -> one ONNX file with its card")
    export.add_argument("run_folder", type=Path, metavar="RUN", help="for example runs/crnn")
    export.add_argument("--out", type=Path, help="ONNX file (default models/<run>.onnx)")
    export.add_argument("--data", type=Path, default=PREPARED, help="what the run was fitted on")
    export.set_defaults(run=_export)


def _add_evaluate(commands: Commands) -> None:
    evaluate = commands.add_parser("evaluate", help="judge held-out tracks once; write the results into the card")
    evaluate.add_argument("model", type=Path, help="for example models/crnn.onnx; or a finished run, as runs/cnn")
    evaluate.add_argument(
        "--data", type=Path, required=True, help="GTZAN: logmel/, and audio/ or genres/ if there is any"
    )
    evaluate.add_argument("--notmusic", type=Path, help="of a model: sounds that are no music, to be judged as well")
    evaluate.add_argument("--results", type=Path, default=RESULTS, help="folder for every track's answer")
    evaluate.set_defaults(run=_evaluate)


def _add_joined(commands: Commands) -> None:
    joined = commands.add_parser("joined", help="how steady a model's answers are where one genre follows another")
    joined.add_argument("model", type=Path, help="for example models/genred.onnx")
    joined.add_argument("--data", type=Path, required=True, help="GTZAN: logmel/, and audio/ or genres/")
    joined.add_argument("--results", type=Path, default=RESULTS, help="folder of the results file")
    joined.set_defaults(run=_joined)


def _add_baseline(commands: Commands) -> None:
    baseline = commands.add_parser("baseline", help="fit one of the older classifiers, and judge held-out tracks")
    baseline.add_argument("name", choices=["svm", "knn", "forest"])
    baseline.add_argument("--data", type=Path, default=PREPARED)
    baseline.add_argument("--split", choices=KINDS, default="random")
    baseline.add_argument("--seed", type=int, default=0, help="of the split, and of the forest")
    baseline.add_argument("--results", type=Path, default=RESULTS, help="folder for every track's answer")
    baseline.set_defaults(run=_baseline)


def _add_ablation(commands: Commands) -> None:
    ablation = commands.add_parser(
        "ablation", help="what ZCR and chroma add to MFCC, on the tracks that have audio; goes on when run again"
    )
    ablation.add_argument("--data", type=Path, required=True, help="GTZAN with genres/<genre>/ or audio/<genre>/")
    ablation.add_argument("--results", type=Path, default=RESULTS, help="folder for every track's answers")
    ablation.set_defaults(run=_ablation)


def _add_calibrate(commands: Commands) -> None:
    calibrate = commands.add_parser(
        "calibrate", help="temperatures and thresholds into a model's card, from validation tracks and other sounds"
    )
    calibrate.add_argument("model", type=Path, help="for example models/genred.onnx")
    calibrate.add_argument("--data", type=Path, required=True, help="GTZAN: logmel/")
    calibrate.add_argument("--notmusic", type=Path, required=True, help="sounds: <kind>/<class>_<number>.ogg")
    calibrate.add_argument("--results", type=Path, default=RESULTS, help="folder for the curves")
    calibrate.set_defaults(run=_calibrate)


def _add_ladder(commands: Commands) -> None:
    ladder = commands.add_parser("ladder", help="what each step to genred's own network brought, from finished runs")
    ladder.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    ladder.set_defaults(run=_ladder)


def _add_reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce", help="every row of the comparison, and its report; goes on when run again"
    )
    reproduce.add_argument("--data", type=Path, default=PREPARED)
    reproduce.add_argument("--device", default="cpu", choices=DEVICES)
    reproduce.add_argument("--side-by-side", type=_positive, default=2, help="runs at a time, of one thread each")
    reproduce.add_argument("--report-only", action="store_true", help="from the results that there are")
    reproduce.set_defaults(run=_reproduce)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _check(arguments: argparse.Namespace) -> None:
    from . import check

    check.check(arguments.data)


def _repeats(arguments: argparse.Namespace) -> None:
    from . import repeats

    repeats.command(arguments.data, arguments.out)


def _prepare(arguments: argparse.Namespace) -> None:
    from . import dataset

    dataset.prepare(arguments.data, arguments.out)


def _fit(arguments: argparse.Namespace) -> None:
    import torch

    from . import loop, recipe

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise BadInputError("--device cuda: torch finds no GPU here; use --device cpu")
    torch.set_num_threads(arguments.threads)
    plan, name = recipe.read(arguments.recipe), arguments.recipe.stem
    if arguments.split:
        plan, name = dataclasses.replace(plan, split=arguments.split), f"{name}-{arguments.split}"
    if arguments.seed is not None:
        plan, name = dataclasses.replace(plan, seed=arguments.seed), f"{name}-{arguments.seed}"
    loop.fit(arguments.data, arguments.out or Path("runs") / name, plan, arguments.device)


def _export(arguments: argparse.Namespace) -> None:
    from . import export

    out = arguments.out or Path("models") / f"{arguments.run_folder.name}.onnx"
    export.export(arguments.run_folder, out, arguments.data)


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.model.is_dir():
        from . import judge

        judge.run(arguments.model, arguments.data, arguments.results / "runs")
    else:
        from . import evaluate

        evaluate.evaluate(arguments.model, arguments.data, arguments.results, arguments.notmusic)


def _joined(arguments: argparse.Namespace) -> None:
    from . import joined

    joined.joined(arguments.model, arguments.data, arguments.results)


def _baseline(arguments: argparse.Namespace) -> None:
    from . import baselines

    baselines.fit(arguments.name, arguments.data, arguments.split, arguments.seed, arguments.results / "runs")


def _ablation(arguments: argparse.Namespace) -> None:
    from . import ablation, rows

    ablation.ablation(arguments.data, arguments.results, rows.RUNS / "ablation.json")


def _calibrate(arguments: argparse.Namespace) -> None:
    from . import abstention

    abstention.calibrate(arguments.model, arguments.data, arguments.notmusic, arguments.results)


def _ladder(arguments: argparse.Namespace) -> None:
    from . import ladder

    ladder.collect(arguments.runs)


def _reproduce(arguments: argparse.Namespace) -> None:
    from . import report, reproduce

    if arguments.report_only:
        report.write()
    else:
        reproduce.reproduce(arguments.data, arguments.device, arguments.side_by_side)
