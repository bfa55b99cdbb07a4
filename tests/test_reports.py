from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec import UNSET

from conftest import identities_hold
from genred import reports
from genred.card import Result
from genred.classifier import Classifier, Verdict
from genred.clock import UtcClock
from genred.epoch import Epoch
from genred.messages import StationInfo, decode, encode
from genred.segments import Segment, Smooth
from genred.station import Due
from rig import GEOMETRY, HOP, PROCESS, SPAN, SPEC, FakeSource, Rig, new_early_epoch, new_epoch
from test_worker import ROCK


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.connect()
    return rig


def due(rig: Rig) -> Due:
    rig.deliver(0.5)
    return rig.listen()[-1]


def test_hello(small_model: object) -> None:
    """It says what the daemon is: its version, its model with digest and provider, its labels, times and stations."""
    judge = Classifier(small_model, "cpu")  # type: ignore[arg-type]
    stations = (StationInfo(name="s", uri="fake:", tags=("a", "b")),)
    hello = reports.hello("1.2.3", judge, 40, stations)
    assert hello.daemon == "1.2.3"
    assert (hello.model.name, hello.model.sha256, hello.model.provider) == ("small", judge.digest, "cpu")
    assert hello.model.claim is UNSET
    assert hello.labels == judge.card.labels
    assert (hello.sample_rate, hello.hop_frames, hello.window_frames) == (22050, 40, 80)
    assert hello.hop_s == pytest.approx(40 * 512 / 22050)
    assert hello.window_s == pytest.approx((79 * 512 + 2048) / 22050)
    assert hello.stations == stations


def test_hello_with_a_claim(small_model: object) -> None:
    """The accuracy that the model's card claims is passed on, with its interval."""
    judge = Classifier(small_model, "cpu")  # type: ignore[arg-type]
    judge.claim = lambda: Result("test", "audio", 200, 141, 0.705, 0.64, 0.76)  # type: ignore[method-assign]
    claim = reports.hello("1", judge, 40, ()).model.claim
    assert claim is not UNSET
    assert (claim.split, claim.input, claim.tracks) == ("test", "audio", 200)
    assert (claim.low, claim.accuracy, claim.high) == (0.64, 0.705, 0.76)


def test_an_estimate(rig: Rig) -> None:
    """A label has its confidence, the probabilities of all, and where and how it was heard."""
    one = due(rig)
    estimate = reports.estimate(one, ROCK)
    assert (estimate.station, estimate.epoch, estimate.clock) == ("s", 0, "device")
    assert (estimate.label, estimate.confidence, estimate.probabilities) == ("rock", 0.9, {"rock": 0.9, "pop": 0.1})
    assert estimate.reason is estimate.progress is estimate.narrow_band is UNSET
    assert (estimate.first_sample, estimate.last_sample) == (one.window.first_sample, one.window.last_sample)
    assert estimate.window_s == pytest.approx(SPAN / 2000)
    assert estimate.level_dbfs == one.window.level_dbfs == pytest.approx(-20, abs=2)
    assert estimate.gain_db == one.window.gain_db
    assert estimate.skipped == 2


def test_a_smoothed_answer_is_in_the_estimate(rig: Rig) -> None:
    """With its label and that one's mean, or with the reason why it has none; how late it is, in any case."""
    one = due(rig)
    for smooth, expected in (
        (Smooth("pop", {"rock": 0.6, "pop": 0.4}, 3.0), ("pop", 0.4, UNSET)),
        (Smooth(None, {"rock": 0.6, "pop": 0.4}, 3.0), (UNSET, UNSET, "unsure")),
    ):
        smoothed = reports.estimate(one, ROCK, smooth).smoothed
        assert smoothed is not UNSET
        assert (smoothed.label, smoothed.confidence, smoothed.reason) == expected
        assert (smoothed.probabilities, smoothed.delay_s) == ({"rock": 0.6, "pop": 0.4}, 3.0)


def test_a_segment(rig: Rig) -> None:
    """What was told of it, and when its first sample sounded: so many samples before the newest window's last."""
    one, utc = due(rig), UtcClock()
    assert one.heard_s is not None
    first = one.window.last_sample - 500
    told = Segment("start", 2, "rock", {"rock": 0.9, "pop": 0.1}, 7, first, one.window.last_sample - 100, 0.25)
    segment = reports.segment(one, told, utc)
    assert (segment.station, segment.phase, segment.number, segment.epoch, segment.windows) == ("s", "start", 2, 0, 7)
    assert (segment.label, segment.confidence, segment.reason, segment.delay_s) == ("rock", 0.9, UNSET, 0.25)
    assert segment.duration_s == pytest.approx(401 / 2000)
    assert segment.began_at == utc.text(one.heard_s - 0.25)
    nameless = reports.segment(replace(one, heard_s=None), replace(told, label=None), utc)
    assert (nameless.label, nameless.confidence, nameless.reason, nameless.began_at) == (UNSET, UNSET, "unsure", UNSET)


@pytest.mark.parametrize("clock", ["device", "arrival", "none"])
def test_what_the_times_rest_on(clock: str) -> None:
    """Every estimate says what its times rest on."""
    rig = Rig(FakeSource(clock))  # type: ignore[arg-type]
    rig.connect()
    assert reports.estimate(due(rig), ROCK).clock == clock


def test_silence(rig: Rig) -> None:
    """An answer that is none has its reason, and on the wire no label, no confidence and no null."""
    estimate = reports.estimate(due(rig), Verdict(reason="silence"))
    text = encode(estimate).decode()
    assert estimate.reason == "silence"
    assert "label" not in text
    assert "confidence" not in text
    assert "null" not in text


def test_silence_is_a_number(rig: Rig) -> None:
    """Digital silence is -120 dBFS, never null."""
    rig.hand_over(np.zeros((1000, 1), np.float32))
    estimate = reports.estimate(rig.listen()[-1], Verdict(reason="silence"))
    assert estimate.level_dbfs == -120.0
    assert decode(encode(estimate)) == estimate


def test_losses_are_told(rig: Rig) -> None:
    """What of a window was lost is in its estimate, in milliseconds."""
    rig.deliver(SPAN / 2000)
    rig.listen()
    assert rig.station.stretch is not None
    rig.station.stretch.epoch.lose(200)
    rig.deliver(0.12)
    (after,) = rig.listen()
    assert reports.estimate(after, ROCK).lost_ms == pytest.approx(100.0)


def test_losses_are_told_before_the_first_window(rig: Rig) -> None:
    """While a station warms up it says how much of what it has was lost."""
    rig.deliver(0.1)
    rig.listen()
    assert rig.station.stretch is not None
    rig.station.stretch.epoch.lose(200)
    assert reports.unripe(rig.station, rig.station.stretch).lost_ms == pytest.approx(100.0)


def test_the_gain_is_told() -> None:
    """Whatever tells of a level tells what is added to it: an answer, what is no answer yet, and the status."""
    rig = Rig(gain_db=17.0)
    rig.connect()
    assert reports.estimate(due(rig), ROCK).gain_db == 17.0
    assert rig.station.stretch is not None
    assert reports.unripe(rig.station, rig.station.stretch).gain_db == 17.0
    assert reports.status(rig.station, None, PROCESS, UtcClock()).gain_db == 17.0


def test_narrow_band() -> None:
    """A source whose rate cannot carry the model's band says so in every estimate."""
    rig = Rig()
    rig.connect(rate_hz=1000)
    rig.deliver(2.0)
    (one,) = rig.listen()
    assert reports.estimate(one, ROCK).narrow_band is True
    assert rig.station.stretch is not None
    assert reports.unripe(rig.station, rig.station.stretch).narrow_band is True


@pytest.mark.parametrize(("state", "reason"), [("running", "warming-up"), ("ended", "too-short")])
def test_no_window_yet(rig: Rig, state: str, reason: str) -> None:
    """Before the first window an estimate says how far it is; if the source has ended, that there will be none."""
    rig.deliver(0.2)
    rig.listen()
    rig.station.state = state  # type: ignore[assignment]
    assert rig.station.stretch is not None
    estimate = reports.unripe(rig.station, rig.station.stretch)
    frames = rig.station.stretch.epoch.frames
    assert estimate.reason == reason
    assert estimate.progress == frames / GEOMETRY.window_frames == 0.55
    assert (estimate.first_sample, estimate.last_sample) == (0, SPEC.samples(frames) - 1)
    assert estimate.window_s == SPEC.seconds(frames)
    assert estimate.label is UNSET


def test_no_frame_yet(rig: Rig) -> None:
    """Not even with no frame at all is anything negative."""
    rig.deliver(0.02)
    rig.listen()
    assert rig.station.stretch is not None
    estimate = reports.unripe(rig.station, rig.station.stretch)
    assert (estimate.progress, estimate.last_sample, estimate.window_s) == (0.0, 0, 0.0)
    assert estimate.level_dbfs < 0


def test_a_window_that_grows() -> None:
    """An estimate says how much audio it rests on; progress is told to the first window, not to the first full one."""
    rig = Rig(epochs=new_early_epoch)
    rig.connect()
    rig.deliver(SPEC.seconds(4))
    rig.listen()
    assert rig.station.stretch is not None
    assert reports.unripe(rig.station, rig.station.stretch).progress == 0.5
    rig.deliver(SPEC.seconds(15) - SPEC.seconds(4))
    estimate = reports.estimate(rig.listen()[-1], ROCK)
    assert (estimate.first_sample, estimate.last_sample) == (0, SPEC.samples(15) - 1)
    assert estimate.window_s == SPEC.seconds(15) < SPEC.seconds(GEOMETRY.window_frames)
    assert estimate.progress is UNSET


def test_an_unsure_estimate(rig: Rig) -> None:
    """An unsure answer has its probabilities and no label."""
    shares = {"rock": 0.2, "jazz": 0.15}
    estimate = reports.estimate(due(rig), Verdict(probabilities=shares, reason="unsure"))
    assert (estimate.label, estimate.confidence, estimate.reason) == (UNSET, UNSET, "unsure")
    assert estimate.probabilities == shares


def test_status(rig: Rig) -> None:
    """Health of a station: state and since when, rate, fill, levels, books that balance, and its newest estimate."""
    utc = UtcClock()
    estimate = reports.estimate(due(rig), ROCK)
    rig.deliver(1.0, dbfs=-30)
    status = reports.status(rig.station, estimate, PROCESS, utc)
    assert (status.station, status.state, status.text) == ("s", "running", UNSET)
    assert status.since == utc.text(rig.station.since_s)
    assert (status.epoch, status.rate_hz) == (0, 2000)
    assert status.ring_fill == pytest.approx(0.1)
    assert status.level_dbfs == pytest.approx(-20, abs=2)
    assert status.level_dbfs < status.peak_dbfs < 0
    assert identities_hold(status)
    assert status.total.waiting >= 2000
    assert status.last is not UNSET
    assert (status.last.label, status.last.confidence, status.last.last_sample) == ("rock", 0.9, estimate.last_sample)
    assert status.process == PROCESS
    assert reports.status(rig.station, estimate, PROCESS, utc).peak_dbfs == -120.0  # nothing new was heard


def test_status_says_why_there_is_no_label(rig: Rig) -> None:
    """The newest estimate in it has the reason when it has no label."""
    estimate = reports.estimate(due(rig), Verdict(probabilities={"rock": 0.2}, reason="unsure"))
    last = reports.status(rig.station, estimate, PROCESS, UtcClock()).last
    assert last is not UNSET
    assert (last.label, last.confidence, last.reason) == (UNSET, UNSET, "unsure")


def test_status_of_a_station_that_never_was() -> None:
    """A station that nobody has heard of yet has a status too."""
    status = reports.status(Rig().station, None, PROCESS, UtcClock())
    assert (status.state, status.epoch, status.rate_hz, status.last) == ("connecting", 0, UNSET, UNSET)
    assert status.next_try is UNSET
    assert (status.level_dbfs, status.peak_dbfs, status.ring_fill) == (-120.0, -120.0, 0.0)
    assert "null" not in encode(status).decode()


def test_status_of_a_lost_station(rig: Rig) -> None:
    """While it is lost, a station says why and when it is tried again; its last epoch is still in the books."""
    rig.play(1.0)
    rig.end("lost", "the cable is out")
    rig.listen()
    rig.listen()
    utc, next_try_s = UtcClock(), rig.now_s + 8.0
    rig.supervisor.next_try_s = next_try_s
    status = reports.status(rig.station, None, PROCESS, utc)
    assert (status.state, status.text) == ("lost", "the cable is out")
    assert status.next_try == utc.text(next_try_s)
    assert status.this_epoch == status.total
    assert status.total.captured == 2000
    assert identities_hold(status)


def test_epochs_are_those_of_the_rig() -> None:
    """The rig's windows are a hop apart: what the numbers above rest on."""
    one = new_epoch(2000, None)
    assert isinstance(one, Epoch)
    assert len(one.feed(np.zeros(SPAN + HOP, np.float32))) == 2
