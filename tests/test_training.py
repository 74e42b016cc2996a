"""The training loop learns, repeats itself exactly, and its augmentation does what its name says."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from vcfkit import models, training


@pytest.fixture(scope="module")
def easy():
    """Bright or dark upper half: separable in a few steps, and an upside-down flip turns one into the other."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 120, (24, 32, 32), generator=generator, dtype=torch.uint8)
    targets = torch.arange(24) % 2
    images[targets == 1, :16] += 130
    return images, targets


def _fit(easy, *, seed=0, epochs=2, **options):
    images, targets = easy
    network, _ = models.resnet18(2, weights="random", seed=seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    launcher = training.fabric(device="cpu", precision="64-true")
    options = {"optimizer": optimizer, "launcher": launcher, "epochs": epochs, "batch_size": 8, "seed": seed} | options
    history = training.fit(network, images, targets, **options)
    return network, history


def test_a_separable_task_is_learnt(easy):
    network, history = _fit(easy, epochs=5)
    called = training.predict(network, easy[0]).argmax(axis=1)
    assert (called == easy[1].numpy()).mean() == 1
    assert history["training_loss"].iloc[-1] < 0.3 * history["training_loss"].iloc[0]


def test_two_runs_with_one_seed_are_bit_identical_and_another_seed_differs(easy):
    first, second, other = (training.predict(_fit(easy, seed=s)[0], easy[0]) for s in (0, 0, 1))
    assert np.array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_another_processors_vector_instructions_move_the_loss_by_rounding_alone():
    """Initial weights, augmentation, forward and backward pass: nothing on the way is float32."""
    command = """
import torch
from vcfkit import models, training
network, _ = models.resnet18(2, weights="random")
images = torch.randint(0, 256, (16, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
history = training.fit(
    network, images, torch.arange(16) % 2, epochs=2, batch_size=8,
    optimizer=torch.optim.Adam(network.parameters(), lr=2e-4, weight_decay=5e-4, fused=True),
    launcher=training.fabric(device="cpu", precision="64-true"),
    augment=training.flips_and_rotations(horizontal=0.5, vertical=0.5, degrees=15),
)
print(repr(history["training_loss"].tolist()))
"""
    losses = []
    for capability in ("default", "avx2"):
        environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
        done = subprocess.run(
            [sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True
        )
        losses.append(ast.literal_eval(done.stdout))
    assert losses[0] == pytest.approx(losses[1], rel=1e-12, abs=0)


def test_watching_a_set_changes_nothing_but_the_record(easy):
    plain, _ = _fit(easy)
    watched, history = _fit(easy, monitor=(easy[0][:8], easy[1][:8]))
    assert np.array_equal(training.predict(plain, easy[0]), training.predict(watched, easy[0]))
    assert {"monitor_loss", "monitor_accuracy"} <= set(history)


def test_global_random_state_is_left_alone(easy):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    _fit(easy, epochs=1, augment=training.flips_and_rotations(horizontal=0.5, vertical=0.5, degrees=15))
    assert torch.equal(before, torch.random.get_rng_state())


def test_augmentation_flips_exactly_and_leaves_alone_what_it_should():
    images = torch.randint(0, 256, (4, 24, 24), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for horizontal, vertical, expected in (
        (0.0, 0.0, images),
        (1.0, 0.0, images.flip(2)),
        (0.0, 1.0, images.flip(1)),
        (1.0, 1.0, images.flip(1, 2)),
    ):
        augment = training.flips_and_rotations(horizontal=horizontal, vertical=vertical, degrees=0)
        assert torch.equal(augment(images, torch.Generator()), expected)


def test_augmentation_rotates_each_image_by_its_own_angle_within_bounds():
    # A bar through the centre: its angle can be read off the second moments.
    images = torch.zeros(40, 65, 65, dtype=torch.uint8)
    images[:, 31:34, 8:57] = 200
    augment = training.flips_and_rotations(horizontal=0, vertical=0, degrees=15)
    turned = augment(images, torch.Generator().manual_seed(0)).double()
    y, x = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")
    angles = 0.5 * torch.atan2(2 * (turned * x * y).sum((1, 2)), (turned * (x**2 - y**2)).sum((1, 2)))
    degrees = torch.rad2deg(angles)
    assert degrees.abs().max() <= 15.5
    assert degrees.std() > 5
    assert len(degrees.round(decimals=3).unique()) == 40


def test_a_last_batch_of_one_joins_its_neighbour(easy):
    images, targets = easy[0][:17], easy[1][:17]
    _, history = _fit((images, targets), epochs=1)
    assert np.isfinite(history["training_loss"]).all()


def test_one_image_is_refused(easy):
    with pytest.raises(ValueError, match="at least two images"):
        _fit((easy[0][:1], easy[1][:1]))


def test_a_loss_that_is_not_finite_names_its_epoch(easy):
    network, _ = models.resnet18(2, weights="random")
    with torch.no_grad():
        network.network.fc.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="epoch 1"):
        training.fit(
            network,
            *easy,
            optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
            launcher=training.fabric(device="cpu", precision="64-true"),
            epochs=2,
            batch_size=16,
        )


def test_a_schedule_scales_the_rate_of_every_batch(easy):
    """Plain gradient descent at a rate of 0 leaves the weights alone; cosine annealing starts at 1 and ends near 0."""
    seen = []

    def half_way(done):
        seen.append(done)
        return 0.0

    network, _ = models.resnet18(2, weights="random")
    before = models.checksum(dict(network.named_parameters()))
    training.fit(
        network,
        *easy,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        launcher=training.fabric(device="cpu", precision="32-true"),
        epochs=2,
        batch_size=16,
        schedule=half_way,
    )
    assert models.checksum(dict(network.named_parameters())) == before
    batches = 2 * -(-len(easy[0]) // 16)
    assert seen == pytest.approx([k / batches for k in range(batches)])
    assert [training.cosine(done) for done in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])


def test_embedded_features_are_what_the_last_layer_reads(easy):
    network, _ = models.resnet18(2, weights="random")
    features = training.embed(network, network.network.avgpool, easy[0], batch_size=7)
    fc = network.network.fc
    logits = features @ fc.weight.detach().double().numpy().T + fc.bias.detach().double().numpy()
    with torch.inference_mode():
        assert logits == pytest.approx(network(easy[0]).double().numpy(), abs=1e-4)


def test_labels_that_do_not_exclude_each_other_are_learnt_one_by_one():
    """Two labels: bright on the left, bright on the right; an image may have both or none."""
    generator = torch.Generator().manual_seed(0)
    flags = torch.randint(0, 2, (64, 2), generator=generator)
    images = torch.zeros((64, 16, 16), dtype=torch.uint8)
    images[:, :, :8] = (200 * flags[:, 0]).view(-1, 1, 1).to(torch.uint8)
    images[:, :, 8:] = (200 * flags[:, 1]).view(-1, 1, 1).to(torch.uint8)
    network = torch.nn.Sequential(_Scaled(), torch.nn.Flatten(), torch.nn.Linear(256, 2)).double()
    history = training.fit(
        network,
        images,
        flags.double(),
        optimizer=torch.optim.Adam(network.parameters(), lr=0.05),
        launcher=training.fabric(device="cpu", precision="64-true"),
        epochs=20,
        batch_size=16,
        monitor=(images[:8], flags[:8].double()),
    )
    probabilities = training.predict(network, images, exclusive=False)
    assert ((probabilities > 0.5) == flags.numpy().astype(bool)).all()
    assert history["training_accuracy"].iloc[-1] == history["monitor_accuracy"].iloc[-1] == 1
    assert (probabilities.sum(axis=1) > 1.5).any(), "two labels at once"


class _Scaled(torch.nn.Module):
    def forward(self, images):
        return images.double() / 255


def _weights(network):
    return models.checksum(network.state_dict())


def test_the_best_epoch_by_the_watched_loss_stays(easy):
    images, targets = easy
    hard = (images[:8], 1 - targets[:8])  # labels turned around: every epoch of learning makes it worse
    network, history = _fit(easy, epochs=4, monitor=hard, keep="best")
    best = int(history["monitor_loss"].idxmin()) + 1
    assert best < 4
    until_then, _ = _fit(easy, epochs=best, monitor=hard)
    assert _weights(network) == _weights(until_then)


def test_an_interrupted_run_goes_on_to_the_same_weights(easy, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(epoch, row):
        if epoch == 2:
            raise Interrupted

    options = {"epochs": 4, "monitor": (easy[0][:8], easy[1][:8]), "keep": "best"}
    augment = training.flips_and_rotations(horizontal=0.5, vertical=0, degrees=0)
    whole, history = _fit(easy, augment=augment, **options)
    with pytest.raises(Interrupted):
        _fit(easy, augment=augment, checkpoint=tmp_path / "a.pt", on_epoch=stop, **options)
    network, resumed = _fit(easy, augment=augment, checkpoint=tmp_path / "a.pt", **options)
    assert _weights(network) == _weights(whole)
    assert resumed.equals(history)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_network_that_drops_goes_on_with_the_same_draws(easy, tmp_path):
    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.part = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(1024, 2))

        def forward(self, images):
            return self.part(images.double() / 255)

    def fit(epochs_run, **options):
        torch.manual_seed(7)  # weights and dropout
        network = Dropping().double()
        settings = {"optimizer": torch.optim.SGD(network.parameters(), lr=0.1), "epochs": 4, "batch_size": 8}
        stopped = {"on_epoch": lambda epoch, row: 1 / (epoch - epochs_run)}
        launcher = training.fabric(device="cpu", precision="64-true")
        training.fit(network, *easy, launcher=launcher, **settings, **stopped, **options)
        return _weights(network)

    whole = fit(9)
    with pytest.raises(ZeroDivisionError):
        fit(2, checkpoint=tmp_path / "a.pt")
    assert fit(9, checkpoint=tmp_path / "a.pt") == whole


def test_a_checkpoint_of_another_run_is_refused(easy, tmp_path):
    _fit(easy, epochs=1, checkpoint=tmp_path / "a.pt")
    with pytest.raises(ValueError, match="differs in epochs 2"):
        _fit(easy, epochs=2, checkpoint=tmp_path / "a.pt")
    with pytest.raises(ValueError, match="differs in data"):
        _fit((easy[0].flip(0), easy[1]), epochs=1, checkpoint=tmp_path / "a.pt")


def test_what_cannot_be_done_is_refused(easy):
    with pytest.raises(ValueError, match="a monitor required"):
        _fit(easy, keep="best")
    with pytest.raises(ValueError, match="last or best"):
        _fit(easy, keep="first")
    with pytest.raises(ValueError, match="CUDA device"):
        _fit(easy, graphed=True)


def test_side_by_side_answers_in_order():
    assert training.side_by_side(lambda k: k * k, [3, 1, 2], at_once=3) == [9, 1, 4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_captured_step_learns_as_the_plain_one(easy):
    losses = []
    for graphed in (False, True):
        network, _ = models.resnet18(2, weights="random", seed=0)
        history = training.fit(
            network,
            *easy,
            optimizer=training.adam(network, 1e-3, device="cuda"),
            launcher=training.fabric(device="cuda", precision="32-true"),
            epochs=3,
            batch_size=4,
            graphed=graphed,
        )
        losses.append(history["training_loss"].to_numpy())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
