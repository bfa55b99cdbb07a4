from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from genred.features import MfccSpec, dct_basis
from genretrain.networks import CNN, CRNN, DNN, NETWORKS, Standardise, inverse_dct


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Leave the other cores to the other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> CRNN:
    torch.manual_seed(0)
    return CRNN(20, 10).eval()


def convolution(inputs: int, filters: int) -> int:
    """3 x 3 weights, biases, and the batch normalisation's scale and shift."""
    return 9 * inputs * filters + filters + 2 * filters


def lstm(inputs: int, units: int) -> int:
    """Four gates; torch keeps two biases for each."""
    return 4 * units * (inputs + units + 2)


def test_one_logit_for_each_genre_of_each_window(network):
    """[B, T, C] -> [B, K]."""
    assert network(torch.zeros(3, 1000, 20)).shape == (3, 10)


def test_the_papers_window_leaves_125_steps(network):
    """Three poolings halve 1000 frames to 125 steps, and 20 coefficients to 2 x 256 values."""
    seen = []
    handle = network.lstm1.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape))
    network(torch.zeros(1, 1000, 20))
    handle.remove()
    assert seen == [(1, 125, 512)]


def test_the_last_answer_as_it_goes_is_the_networks(network):
    """And an earlier one has seen no frames that come long after it."""
    frames = torch.randn(2, 160, 20, generator=torch.manual_seed(0))
    with torch.no_grad():
        answers = network.as_it_goes(frames)  # [B, T/8, K]
        torch.testing.assert_close(answers[:, -1], network(frames))
        changed = torch.cat([frames[:, :120], -frames[:, 120:]], dim=1)
        others = network.as_it_goes(changed)
    torch.testing.assert_close(others[:, :13], answers[:, :13])
    assert not torch.allclose(others[:, -1], answers[:, -1])


@pytest.mark.parametrize("kind", [CNN, DNN])
def test_a_network_without_steps_answers_once(kind):
    """[B, T, C] -> [B, 1, K], its only answer."""
    frames, other = torch.randn(2, 40, 8), kind(8, 10, 40).eval()
    torch.testing.assert_close(other.as_it_goes(frames), other(frames)[:, None])


def test_the_network_has_1_36_million_parameters(network):
    """Counted by layer, as the paper describes them."""
    convolutions = convolution(1, 64) + convolution(64, 128) + convolution(128, 256)
    recurrent = lstm(512, 256) + lstm(256, 128)
    dense = (128 * 64 + 64) + (64 * 10 + 10)
    assert convolutions + recurrent + dense == 1_365_578
    assert sum(p.numel() for p in network.parameters()) == 1_365_578


def test_the_layers_are_the_papers_in_its_order(network):
    """Section IV.C: convolution, ReLU, batch normalisation, pooling, three times; two LSTMs; dense, dropout, output."""
    block = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d]
    layers = [m for m in network.modules() if not list(m.children())]
    assert [type(m) for m in layers] == [
        *([Standardise] + 3 * block),
        *(nn.LSTM, nn.LSTM, nn.Linear, nn.Dropout, nn.Linear),
    ]
    assert [m.out_channels for m in layers if isinstance(m, nn.Conv2d)] == [64, 128, 256]
    assert [m.hidden_size for m in layers if isinstance(m, nn.LSTM)] == [256, 128]
    assert [m.out_features for m in layers if isinstance(m, nn.Linear)] == [64, 10]
    assert [m.p for m in layers if isinstance(m, nn.Dropout)] == [0.5]


def test_the_network_standardises_with_the_training_sets_statistics():
    """Frames at the mean become zeros, frames a deviation above it ones."""
    standardise = Standardise(3)
    standardise.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    standardise.deviation.copy_(torch.tensor([1.0, 10.0, 100.0]))
    frames = torch.stack([standardise.mean, standardise.mean + standardise.deviation])[None]  # [1, 2, 3]
    assert torch.equal(standardise(frames), torch.tensor([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]))


def test_a_window_is_judged_alone(network):
    """What else is in the batch does not change the answer."""
    windows = torch.randn(3, 80, 20)
    with torch.no_grad():
        torch.testing.assert_close(network(windows)[1:2], network(windows[1:2]), atol=1e-5, rtol=0)


def test_the_order_of_the_music_matters(network):
    """The LSTMs hear time: a window played backwards has other logits."""
    window = torch.randn(1, 80, 20).cumsum(1)
    with torch.no_grad():
        assert (network(window) - network(window.flip(1))).abs().max() > 1e-4


def test_geometry_says_how_the_network_is_built(network):
    """An engine that reads the card finds the sizes of the layers that are there."""
    geometry = network.geometry()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert geometry["convolutions"] == [
        {"kernel": m.kernel_size[0], "padding": m.padding, "filters": m.out_channels, "pooling": 2}
        for m in convolutions
    ]
    assert geometry["recurrent"] == [network.lstm1.hidden_size, network.lstm2.hidden_size]
    assert geometry["dense"] == network.dense.out_features


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_answers_windows_alone(name):
    """[B, T, C] -> [B, K], and what else is in the batch does not change an answer."""
    torch.manual_seed(0)
    small = NETWORKS[name](9, 10, 42).eval()
    windows = torch.randn(3, 42, 9)
    with torch.no_grad():
        logits = small(windows)
        assert logits.shape == (3, 10)
        torch.testing.assert_close(logits[1:2], small(windows[1:2]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["crnn", "cnn", "dnn"])
def test_the_papers_networks_standardise_first(name):
    """With statistics of another scale, the same music on that scale has the same logits."""
    small = NETWORKS[name](8, 10, 40).eval()
    windows = torch.randn(2, 40, 8)
    with torch.no_grad():
        before = small(windows)
        small.standardise.mean.fill_(3.0)
        small.standardise.deviation.fill_(5.0)
        torch.testing.assert_close(small(3.0 + 5.0 * windows), before, atol=1e-4, rtol=0)


def test_the_cnn_is_the_crnns_convolutions_under_a_dense_head(network):
    """The same blocks, and the mean over time of 2 x 256 values into 64 units."""
    cnn = CNN(20, 10, 1000)
    assert str(cnn.convolutions) == str(network.convolutions)
    convolutions = convolution(1, 64) + convolution(64, 128) + convolution(128, 256)
    assert sum(p.numel() for p in cnn.parameters()) == convolutions + (512 * 64 + 64) + (64 * 10 + 10)


def test_the_dnn_has_dense_layers_only():
    """The whole window, 20000 values, into 512, 256 and 64 units."""
    layers = [m for m in DNN(20, 10, 1000).modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [(20000, 512), (512, 256), (256, 64), (64, 10)]


def test_the_first_weights_are_those_that_runs_began_with():
    """A seed gives the weights it always gave: a run can be repeated after the code was moved about."""
    torch.manual_seed(0)
    weights = [float(p.detach().double().abs().sum()) for p in CRNN(20, 10).parameters()]
    assert (len(weights), round(sum(weights), 1)) == (24, 40224.8)


def test_genreds_network_hears_the_training_mean_as_nothing():
    """Coefficients count from the mean of the training set: another mean under the same music changes no answer."""
    small = NETWORKS["genred"](16, 10, 40).eval()
    windows = torch.randn(2, 40, 16)
    with torch.no_grad():
        before = small(windows)
        small.standardise.mean.fill_(3.0)
        torch.testing.assert_close(small(3.0 + windows), before, atol=1e-4, rtol=0)


def test_the_inverse_transform_gives_the_log_mel_back():
    """All 128 coefficients of a spectrum, read at its 128 bands, are the spectrum; fewer are a smooth one."""
    spectrum = torch.randn(3, 128)
    basis = torch.from_numpy(dct_basis(MfccSpec(n_mfcc=128))).float()
    torch.testing.assert_close(spectrum @ basis.T @ inverse_dct(128, 128), spectrum, atol=1e-4, rtol=0)
    slope = torch.linspace(-20, 20, 128)
    smooth = slope @ basis.T[:, :64] @ inverse_dct(64, 64)
    assert (smooth - slope.reshape(64, 2).mean(1)).abs()[4:-4].max() < 0.5


def test_genreds_network_costs_no_more_than_the_papers():
    """At most 2.5 million parameters, and the multiplications of the paper's CRNN a window."""
    own, paper = NETWORKS["genred"](64, 10, 1000), NETWORKS["crnn"](20, 10, 1000)
    assert sum(p.numel() for p in own.parameters()) < 2_500_000
    assert multiplications(own, 64) <= multiplications(paper, 20)


def multiplications(network: torch.nn.Module, n_mfcc: int) -> int:
    """Products of one window of 1000 frames, in convolutions, recurrent and dense layers."""
    total = 0

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        nonlocal total
        if isinstance(layer, torch.nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()  # type: ignore[attr-defined]
        elif isinstance(layer, torch.nn.LSTM | torch.nn.GRU):
            total += inputs[0].shape[1] * sum(w.numel() for name, w in layer.named_parameters() if "weight" in name)
        elif isinstance(layer, torch.nn.Linear):
            total += layer.weight.numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1000, n_mfcc))
    for hook in hooks:
        hook.remove()
    return total
