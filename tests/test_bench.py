from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from conftest import genred
from genred.bench import Plan, bench, told
from genred.bench.fleet import Growth, Trial, grow, trial
from genred.bench.inference import Bench
from genred.bench.peers import Peers
from genred.bench.process import on_cores
from genred.bench.report import Report, markdown
from genred.bench.rounds import alternate, quantile
from genred.bench.server import APART_S, BURST_S
from genred.bench.stations import Stations
from genred.bench.tune import MP3_RATE_HZ, TUNE_S, tune, write_mp3
from genred.card import find_model
from genred.classifier import Classifier
from genred.sources.file import decode

HOP_S = 0.93


def test_contenders_take_turns() -> None:
    """Each goes once a round; the first round warms up; medians are compared with the first contender's."""
    turns: list[str] = []

    def contender(name: str, *costs: float) -> Callable[[], float]:
        left = iter(costs)

        def go() -> float:
            turns.append(name)
            return next(left)

        return go

    first, second = alternate({"a": contender("a", 99, 2, 1, 9), "b": contender("b", 99, 8, 6, 4)}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert (first.name, first.ratio, first.ms, first.least_ms, first.most_ms) == ("a", 1, 2, 1, 9)
    assert (second.name, second.ratio, second.ms) == ("b", 3, 6)


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (0.0, 1), (1.0, 100)])
def test_quantiles(share: float, value: float) -> None:
    """Of 100 values p99 is the greatest but one or the greatest, never one between."""
    assert quantile([float(x) for x in reversed(range(1, 101))], share) == value


def a_trial(n: int, p99_ms: float = 10.0, skipped: int = 0) -> Trial:
    return trial(n, (1.0, 10.0), [p99_ms] * 100, skipped, HOP_S)


def test_what_keeping_up_is() -> None:
    """Nothing is skipped, and the latency's p99 is under half a hop; no answer at all is not it."""
    assert a_trial(5).keeps_up
    assert a_trial(5).cpu_ms == pytest.approx(20.0)
    assert not a_trial(5, skipped=1).keeps_up
    assert a_trial(5, p99_ms=460.0).keeps_up
    assert not a_trial(5, p99_ms=470.0).keeps_up
    assert not trial(5, (1.0, 10.0), [], 0, HOP_S).keeps_up


def test_a_number_is_too_many_if_it_is_so_twice() -> None:
    """Once, it may have been another's work on the machine."""
    asked: list[int] = []

    def attempt(n: int) -> Trial:
        asked.append(n)
        disturbed = n == 64 and asked.count(64) == 1
        return a_trial(n, skipped=int(disturbed or n > 64))

    trials = list(grow(attempt, [8, 64, 128], tries=0))
    assert asked == [8, 64, 64, 128, 128]
    assert [one.keeps_up for one in trials] == [True, True, False]


@pytest.mark.parametrize(
    ("limit", "tried", "found"),
    [(70, [8, 64, 128, 96, 80], 64), (100, [8, 64, 128, 96, 112], 96), (3, [8, 4, 2], 2), (999, [8, 64, 128], 128)],
)
def test_the_search_for_the_limit(limit: int, tried: list[int], found: int) -> None:
    """It grows until a number is too many, and then looks between."""
    trials = tuple(grow(lambda n: a_trial(n, skipped=max(n - limit, 0)), [8, 64, 128], tries=2))
    assert [one.stations for one in trials] == tried
    assert Growth("genred", 1, trials).limit == found


def test_the_tune_is_a_station_of_the_net(tmp_path: Path) -> None:
    """A minute of music as 128 kbit/s MP3, which decodes to about the samples that were encoded."""
    samples, path = tune(), tmp_path / "tune.mp3"
    write_mp3(samples, path)
    pieces = list(decode(path))
    heard = np.concatenate([piece.block[:, 0] for piece in pieces])
    assert {piece.rate_hz for piece in pieces} == {MP3_RATE_HZ}
    assert len(heard) / MP3_RATE_HZ == pytest.approx(TUNE_S, abs=0.2)
    assert heard.std() == pytest.approx(samples.std(), rel=0.1)
    assert path.stat().st_size * 8 / TUNE_S == pytest.approx(128_000, rel=0.05)


def test_a_child_has_the_cores_it_is_given() -> None:
    """And this process keeps its own."""
    ours = os.sched_getaffinity(0)
    with on_cores({min(ours)}):
        assert os.sched_getaffinity(0) == {min(ours)}
    assert os.sched_getaffinity(0) == ours


@pytest.fixture(scope="module")
def real() -> Bench:
    return Bench(tune(), find_model(), "cpu", 40)


def test_peers_work_in_their_own_process(real: Bench, tmp_path: Path) -> None:
    """Librosa and torch are found and measured, and what is not installed is named with the reason."""
    card = real.classifier.card
    with Peers(tune()[: card.spec.samples(card.window_frames)], card, 40, tmp_path) as peers:
        assert {"librosa, on each window", "torch, eager"} <= set(peers.found.present)
        assert not set(peers.found.present) & set(peers.found.missing)
        assert len(peers.found.present) + len(peers.found.missing) == 6
        once, whole = peers.go("librosa, each second once"), peers.go("librosa, on each window")
        once(), whole()
        assert 5 * once() < whole()  # 23 s of audio for each 0.93 s of it
        assert peers.go("torch, eager", 2)() > 0


def test_rolling_is_cheaper_with_the_same_labels(real: Bench, tmp_path: Path) -> None:
    """At batch 8 a window that is rolled to costs less than half of a whole pass, and is answered the same."""
    card = real.classifier.card
    with Peers(tune()[: card.spec.samples(card.window_frames)], card, 40, tmp_path) as peers:
        (batch,) = real.compare(peers, 3, [8])
    rolling, whole, _ = batch.costs
    assert rolling.name == "genred, rolling"
    assert whole.ratio > 2  # of CPU time, which a machine under load changes little
    agreement = real.agreement(4, 3)
    assert agreement.windows == agreement.same_label == 12
    assert agreement.greatest_difference < 1e-5


def test_torch_runs_the_models_own_network(tmp_path: Path) -> None:
    """A card that names no network of genretrain has no peer in torch: another network would be another thing."""
    card = msgspec.structs.replace(Classifier(find_model(), "cpu").card, training={"recipe": {"network": "another"}})
    with Peers(tune()[: card.spec.samples(card.window_frames)], card, 40, tmp_path) as peers:
        assert peers.found.missing["torch, eager"] == "the model's card names no network of genretrain"
        assert "torch, eager" not in peers.found.present


def test_a_radio_sends_a_burst_and_then_in_real_time(tmp_path: Path) -> None:
    """Each station begins at another place of the music, comes at once as far as a window is long, and goes on."""
    music, rate = tmp_path / "music", 1000
    music.write_bytes(bytes(range(250)) * 20)

    def hear(uri: str, n: int) -> tuple[bytes, float]:
        began_s = time.monotonic()
        with urllib.request.urlopen(uri, timeout=20) as answer:
            return answer.read(n), time.monotonic() - began_s

    with Stations(music, 8 * rate, os.sched_getaffinity(0)) as stations:
        burst = round(BURST_S * rate)
        sent, took_s = hear(stations.uri(3), burst)
        place = round(3 * APART_S * rate)
        assert sent == bytes((place + i) % 250 for i in range(burst))
        assert took_s < 5.0
        _, took_s = hear(stations.uri(0), burst + rate)
        assert 0.9 <= took_s < 5.0


TINY = Plan(
    rounds=1,
    numbers=(2,),
    naive_numbers=(2,),
    tries=0,
    attempts=1,
    settle_s=3.0,
    trial_s=2.5,
    single_s=1.0,
    cores=(1,),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    from test_rolling import NETS

    model = NETS["like the paper's"].write(tmp_path_factory.mktemp("net") / "net.onnx", 96)
    return bench(model, "cpu", 16, TINY)


def with_the_report(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that reads it: one run for all; it may wait for a microphone that has just gone."""
    return pytest.mark.xdist_group("bench")(pytest.mark.timeout(300)(test))


@with_the_report
def test_a_whole_run(report: Report) -> None:
    """Real daemons, the naive loop and the peers are measured, and nothing is left out in silence."""
    own, naive = report.growths
    assert (own.name, own.trials[0].stations, naive.name) == ("genred", 2, "the naive loop")
    for growth in report.growths:
        (made,) = growth.trials
        assert made.windows > 0
        assert 0 < made.p50_ms <= made.p99_ms <= made.max_ms
        assert made.cpu_ms > 0
    assert [batch.size for batch in report.inference] == [1, 8, 64]
    assert len(report.features) > 2
    assert (report.microphone is None) == ("one microphone" in report.missing)


@with_the_report
def test_the_report_names_the_machine_and_the_command(report: Report) -> None:
    """As Markdown it says where, how and what; every row of a table has as many cells as its head."""
    text = markdown(report)
    for part in (report.machine.processor, report.command, "genred, streaming", "torch, eager", "the naive loop"):
        assert part in text
    for why in report.missing.values():
        assert why in text
    lines = text.splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|")


@with_the_report
def test_the_report_for_programs(report: Report) -> None:
    """As JSON it comes back as it was."""
    assert msgspec.json.decode(told(report, as_json=True), type=Report) == report


def test_what_cannot_be_measured() -> None:
    """A model that is not there is one sentence and exit code 2, before anything is measured."""
    run = genred("bench", "--quick", "--model", "/nowhere/model.onnx")
    assert run.returncode == 2
    assert run.stderr == "genred: cannot read the model /nowhere/model.onnx: No such file or directory\n"
    run = genred("bench", "--quick", "--hop", "7")
    assert run.returncode == 2
    assert "--hop 7" in run.stderr
