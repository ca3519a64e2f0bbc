"""Training of networks that return mixtures: what comes back, when it ends, and with what it works."""

import copy
import io
import math
import socket
from functools import partial

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import mixtura as mx
from mixtura.conditional import GMM, MixtureDensityNetwork
from mixtura.errors import MixtureError, NotClosedForm


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bent(rows=400, seed=0):
    """Contexts and rows of two features that depend on them."""
    context = 2 * torch.rand(rows, 1, generator=seeded(seed)) - 1
    noise = 0.1 * torch.randn(rows, 2, generator=seeded(seed + 1))
    return context, torch.cat([context.square(), 3 * context], 1) + noise


def network(seed=0, **settings):
    torch.manual_seed(seed)
    return GMM(2, 1, components=2, hidden_features=(16,), **settings)


def density(gmm, context, x):
    with torch.no_grad():
        return gmm(context).log_prob(x).mean().item()


# -- what comes back


def test_the_best_state_is_the_one_that_comes_back():
    """Of few rows a network learns too much: the best state is not the last."""
    (context, x), held = bent(30), bent(200, 7)
    torch.manual_seed(0)
    gmm = GMM(2, 1, components=4)
    trained = gmm.fit(x, context, validation=held, epochs=200, early_stopping=6, generator=seeded())
    assert trained.module is gmm and trained.validation.argmax() == trained.best < len(trained.trace) - 1
    assert math.isclose(trained.log_density, trained.validation.max().item())
    assert math.isclose(density(gmm, *held), trained.log_density, rel_tol=1e-5)


def test_learning_finds_what_the_rows_were_drawn_from():
    """The noise is normal with a scale of 0.1, of which the entropy is known."""
    (context, x), held = bent(3000), bent(3000, 7)
    gmm = network()
    gmm.fit(x, context, epochs=60, generator=seeded())
    best = -2 * (math.log(0.1) + 0.5 * math.log(2 * math.pi * math.e))
    assert best - 0.1 < density(gmm, *held) < best + 0.05


def test_the_same_generators_give_the_same_network():
    context, x = bent()
    one, other = network(), network()
    for gmm in (one, other):
        gmm.fit(x, context, epochs=3, generator=seeded(3))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_units_of_target_and_context_change_nothing_but_the_units():
    context, x = bent()
    unit, found = torch.tensor([1e-4, 1e3]), []
    for rows, seen in ((x, context), (x * unit, 1e3 * context + 5)):
        gmm = network(epsilon=0).double()
        found.append(gmm.fit(rows.double(), seen.double(), epochs=4, generator=seeded(3)).validation)
    torch.testing.assert_close(found[0], found[1] + unit.log().sum(), rtol=1e-3, atol=1e-3)


def test_a_start_that_was_chosen_is_kept():
    context, x = bent()
    gmm = network()
    start = gmm.initialize(x, "em", context)
    still = partial(torch.optim.SGD, lr=0.0)
    assert gmm.fit(x, context, validation=0, epochs=1, optimizer=still).trace[0] == pytest.approx(
        start.log_prob(x).mean().item(), abs=1e-4
    )


def test_without_a_context_it_is_em():
    x = mx.datasets.old_faithful()
    gmm = GMM(2, components=2, epsilon=0).to(x.dtype)
    fit = gmm.fit(x, generator=seeded())
    assert isinstance(fit, mx.Fit) and isinstance(fit.method, mx.EM)
    assert math.isclose(gmm().log_prob(x).sum().item(), fit.log_likelihood, rel_tol=1e-9)


# -- when it ends, and what it says


def test_it_says_that_epochs_ran_out():
    context, x = bent()
    trained = network().fit(x, context, epochs=2)
    assert trained.reason is mx.Reason.EPOCHS and not trained.converged
    assert "Raise `epochs`" in trained.advice


def test_it_ends_where_held_out_rows_are_foretold_no_better():
    context = torch.randn(60, 4, generator=seeded())
    x = torch.randn(60, 2, generator=seeded(1))  # there is nothing to be learned
    torch.manual_seed(0)
    trained = GMM(2, 4).fit(x, context, validation=0.5, epochs=500, early_stopping=4, generator=seeded())
    assert trained.reason is mx.Reason.STOPPED_EARLY and trained.converged
    assert len(trained.trace) == trained.best + 1 + 4
    assert trained.trace[-1] > trained.validation[-1]


def test_steps_that_are_too_long_are_told_and_undone():
    context, x = bent()
    gmm = network()
    trained = gmm.fit(x, context, epochs=50, optimizer=partial(torch.optim.SGD, lr=1e30), generator=seeded())
    assert trained.reason is mx.Reason.DIVERGED
    assert "smaller rate" in trained.advice
    assert math.isfinite(density(gmm, context, x))


class Interrupted(torch.nn.Module):
    """A network during whose third epoch the user presses Ctrl-C."""

    def __init__(self, calls):
        super().__init__()
        self.linear, self.left = torch.nn.Linear(1, 4), calls

    def forward(self, context):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return torch.tanh(self.linear(context))


def test_an_interrupted_training_keeps_the_best_so_far():
    context, x = bent()
    gmm = GMM(
        2, 1, network=Interrupted(9)
    )  # a trial at the start, then two passes an epoch of one batch and held-out rows
    trained = gmm.fit(x, context, batch_size=1000, epochs=50, generator=seeded())
    assert trained.reason is mx.Reason.INTERRUPTED
    assert len(trained.trace) == 3 and trained.best == 2


# -- from where rows come


def test_frames_and_tensors_are_the_same():
    context, x = bent()
    frames = pd.DataFrame(x.numpy(), columns=["a", "b"]), pd.DataFrame(context.numpy(), columns=["c"])
    one, other = network(), network()
    first = one.fit(x, context, epochs=2, generator=seeded())
    second = other.fit(*frames, epochs=2, generator=seeded())
    torch.testing.assert_close(first.validation, second.validation)


@pytest.mark.parametrize("validation", [0.25, 0])
def test_a_loader_of_pairs_is_gone_through(validation):
    context, x = bent()
    loader = DataLoader(TensorDataset(context, x), batch_size=100)
    trained = network().fit(loader, validation=validation, epochs=30, generator=seeded())
    assert trained.validation[-1] > trained.validation[0] + 1


class Stream(IterableDataset):
    def __iter__(self):
        return zip(*bent(), strict=True)


def test_a_stream_needs_a_loader_of_held_out_rows():
    loader = DataLoader(Stream(), batch_size=100)
    with pytest.raises(MixtureError, match="`validation` must be a DataLoader where x is one of a stream"):
        network().fit(loader, epochs=1)
    held = DataLoader(TensorDataset(*bent(100, 7)), batch_size=50)
    assert len(network().fit(loader, validation=held, epochs=2).validation) == 2


# -- through errors and gaps


def test_gaps_that_are_not_there_change_nothing():
    (context, x), still = bent(), partial(torch.optim.Adam, lr=1e-3)
    found = []
    for observation in (None, mx.observation.Missing()):
        gmm = network()
        gmm.initialize(x, "kmeans", context, seeded())
        found.append(gmm.fit(x, context, epochs=3, optimizer=still, observation=observation, generator=seeded()))
    torch.testing.assert_close(found[0].validation, found[1].validation)


def test_rows_with_gaps_teach():
    (context, x), held = bent(2000), bent(1000, 7)
    gaps = x.clone()
    gaps[torch.rand(x.shape, generator=seeded(5)) < 0.4] = torch.nan
    gmm = network()
    gmm.fit(gaps, context, epochs=40, observation=mx.observation.Missing(), generator=seeded())
    best = -2 * (math.log(0.1) + 0.5 * math.log(2 * math.pi * math.e))
    assert density(gmm, *held) > best - 0.2


def test_errors_of_observation_are_undone():
    context, x = bent(3000)
    noisy = x + 0.3 * torch.randn(x.shape, generator=seeded(9))
    torch.manual_seed(0)
    gmm = GMM(2, 1, components=1, hidden_features=(16,))
    gmm.fit(noisy, context, epochs=60, observation=mx.observation.AdditiveNoise(scale=0.3), generator=seeded())
    with torch.no_grad():
        scale = gmm(context).variance.sqrt().mean(0)
    torch.testing.assert_close(scale, torch.tensor([0.1, 0.1]), rtol=0.5, atol=0)


def noisy(rows, seed=0):
    """The bent rows with errors of each row's own, some of them gaps."""
    context, x = bent(rows, seed)
    errors = 0.05 + torch.rand(x.shape, generator=seeded(seed + 2))
    recorded = x + errors * torch.randn(x.shape, generator=seeded(seed + 3))
    recorded[torch.rand(x.shape, generator=seeded(seed + 4)) < 0.2] = torch.nan
    return context, recorded, [mx.observation.AdditiveNoise(scale=errors, per_row=True), mx.observation.Missing()]


@pytest.mark.parametrize("covariance", ["full", "spherical", "lowrank"])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_row_is_foretold_through_its_own_errors(covariance, gaps):
    """Row by row beside `Mixture.observed`, to which the errors of one row are errors of all; and where none differ."""
    (context, x, (noise, missing)), still = noisy(40), partial(torch.optim.SGD, lr=0.0)
    x = x if gaps else x.nan_to_num(0.5)
    seen = [noise, missing] if gaps else noise
    gmm = network(covariance_type=covariance)
    gmm.begin(network(1, covariance_type=covariance).initialize(torch.randn(60, 2, generator=seeded()), "random"))
    trained = gmm.fit(x, context, validation=(context, x), epochs=1, optimizer=still, observation=seen)
    each = []
    for one, row, scale in zip(context, x, noise.scale, strict=True):
        own = mx.observation.AdditiveNoise(scale=scale)
        each.append(gmm(one).observed([own, missing] if gaps else own).log_prob(row))
    assert trained.log_density == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)


@pytest.mark.slow
def test_errors_by_row_and_gaps_are_undone():
    (context, x, seen), held = noisy(3000), bent(3000, 7)
    torch.manual_seed(0)
    gmm = GMM(2, 1, components=1, hidden_features=(16,))
    gmm.fit(x, context, validation=0, epochs=40, observation=seen, generator=seeded())
    with torch.no_grad():
        scale = gmm(context).variance.sqrt().mean(0)
    torch.testing.assert_close(scale, torch.tensor([0.1, 0.1]), rtol=0.5, atol=0)
    blind = GMM(2, 1, components=1, hidden_features=(16,))
    blind.fit(x, context, validation=0, epochs=40, observation=seen[1], generator=seeded())
    assert density(gmm, *held) > density(blind, *held) + 1


def test_held_out_rows_have_errors_of_their_own():
    context, x, seen = noisy(200)
    held = noisy(50, 7)
    trained = network().fit(x, context, validation=(held[0], held[1], held[2]), epochs=2, observation=seen)
    assert trained.validation.isfinite().all()
    with pytest.raises(MixtureError, match="`scale` must be one for all or one for each of the 50 rows"):
        network().fit(x, context, validation=held[:2], epochs=2, observation=seen)
    loader = DataLoader(TensorDataset(context, x.nan_to_num(0.0)), batch_size=50)
    with pytest.raises(MixtureError, match="the same for all rows of a DataLoader"):
        network().fit(loader, observation=seen, epochs=1)


def test_limits_that_differ_from_row_to_row_say_what_they_are():
    context, x = bent(50)
    limits = mx.observation.Censored(lower=torch.rand(50, 2, generator=seeded()) - 2, per_row=True)
    with pytest.raises(NotClosedForm, match="differs from row to row"):
        started().float().fit(x, context, observation=limits, epochs=1)


def test_rows_are_measured_by_matrices_of_their_own():
    """Of each row one projection was recorded, and yet both features are learned."""
    context, x = bent(3000)
    matrix = torch.nn.functional.normalize(torch.randn(3000, 1, 2, generator=seeded(5)), dim=-1)
    recorded = (matrix @ x.unsqueeze(-1)).squeeze(-1)
    seen = mx.observation.LinearMeasurement(matrix, scale=0.02, per_row=True)
    torch.manual_seed(0)
    gmm = GMM(2, 1, components=1, hidden_features=(16,))
    gmm.fit(recorded, context, epochs=40, observation=seen, generator=seeded())
    with torch.no_grad():
        at = gmm(torch.tensor([[0.5]])).mean[0]
    torch.testing.assert_close(at, torch.tensor([0.25, 1.5]), atol=0.15, rtol=0)


def test_many_gaps_in_a_large_batch_are_those_of_single_rows():
    gmm, context = GMM(8, 3, components=16), torch.randn(300, 3, generator=seeded())
    x = torch.randn(300, 8, generator=seeded(1))
    x[torch.rand(x.shape, generator=seeded(2)) < 0.2] = torch.nan
    gaps = mx.observation.Missing()
    with torch.no_grad():
        whole = gmm(context).observed(gaps).log_prob(x)
        alone = torch.stack([gmm(one).observed(gaps).log_prob(row) for one, row in zip(context, x, strict=True)])
    torch.testing.assert_close(whole, alone)


# -- with what it works


def test_a_plain_loop_trains_it():
    context, x = bent()
    gmm = network()
    steps, before = torch.optim.Adam(gmm.parameters(), lr=1e-2), density(gmm, context, x)
    for _ in range(30):
        steps.zero_grad()
        loss = -gmm(context).log_prob(x).mean()
        loss.backward()
        steps.step()
    assert density(gmm, context, x) > before + 1


@pytest.mark.parametrize("make", [network, lambda: MixtureDensityNetwork(mx.Poisson, 1)])
def test_it_is_kept_and_comes_back(make):
    context = bent()[0]
    x = make()(context).sample()
    gmm, kept = make(), io.BytesIO()
    gmm.initialize(x, "kmeans", context)
    torch.save(gmm, kept)
    kept.seek(0)
    fresh = make()
    fresh.load_state_dict(gmm.state_dict())
    for again in (torch.load(kept, weights_only=False), copy.deepcopy(gmm), fresh):
        torch.testing.assert_close(again(context).log_prob(x), gmm(context).log_prob(x))


def test_the_mixture_stays_in_single_precision_where_the_network_does_not():
    context, x = bent()
    gmm = network()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = -gmm(context).log_prob(x).mean()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-density(gmm, context, x), abs=0.05)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in gmm.parameters())


def test_transforms_of_torch_see_through_it():
    context, x = bent(20)
    gmm = network()
    each = torch.func.vmap(lambda one, row: gmm(one).log_prob(row))(context, x)
    torch.testing.assert_close(each, gmm(context).log_prob(x))


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def steps_of_one_process(rank, processes, address, folder):
    """Some steps on this process' share of the rows; what comes of them is kept."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=processes)
    gmm = started()
    run_steps(torch.nn.parallel.DistributedDataParallel(gmm), *(rows[rank::processes] for rows in bent()))
    torch.distributed.destroy_process_group()
    torch.save(gmm.state_dict(), folder / str(rank))


def started():
    gmm, (context, x) = network().double(), bent()
    gmm.initialize(x.double(), "kmeans", context, seeded())
    return gmm


def run_steps(module, context, x):
    steps = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(5):
        steps.zero_grad()
        (-module(context).log_prob(x.double()).mean()).backward()
        steps.step()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_from_all_rows(tmp_path):
    given = 2, free_address(), tmp_path
    torch.multiprocessing.spawn(steps_of_one_process, given, nprocs=2)
    alone, before = started(), started().state_dict()
    run_steps(alone, *bent())
    for name, expected in alone.state_dict().items():
        for rank in "01":
            torch.testing.assert_close(torch.load(tmp_path / rank)[name], expected)
    assert not torch.equal(before["components_head.linear.weight"], alone.state_dict()["components_head.linear.weight"])


@pytest.mark.filterwarnings("ignore")  # what Lightning says of itself
def test_lightning_trains_it():
    """As any module: what Lightning calls is a loss, and an optimiser."""
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

    class Task(lightning.LightningModule):
        def __init__(self, gmm):
            super().__init__()
            self.gmm = gmm

        def training_step(self, batch, number):
            context, x = batch
            return -self.gmm(context).log_prob(x).mean()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    context, x = bent()
    gmm = network()
    gmm.initialize(x, "kmeans", context, seeded())
    before = density(gmm, context, x)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=10, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(Task(gmm), DataLoader(TensorDataset(context, x), batch_size=50))
    assert density(gmm, context, x) > before + 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_it_is_compiled_without_a_break():
    context, x = bent()
    gmm = network()

    def loss(context, x):
        return -gmm(context).log_prob(x).mean()

    whole = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(whole(context, x), loss(context, x))
    slopes = [torch.autograd.grad(one(context, x), list(gmm.parameters())) for one in (whole, loss)]
    torch.testing.assert_close(*slopes)


@pytest.mark.slow
def test_a_target_of_many_values_is_foretold_almost_as_well_as_can_be():
    """The inverse sinusoid (Bishop, 1994): x given t + 0.3 sin(2 pi t) and noise, beside the exact conditional."""

    def drawn(rows, generator):
        x = torch.rand(rows, 1, generator=generator)
        return x + 0.3 * torch.sin(2 * torch.pi * x) + 0.1 * torch.randn(rows, 1, generator=generator), x

    def exact(context, x):
        joint = lambda x: -50 * (context - x - 0.3 * torch.sin(2 * torch.pi * x)).square()  # noqa: E731
        grid = torch.linspace(0, 1, 1001)
        return (joint(x).squeeze(1) - joint(grid).logsumexp(1) + math.log(1000)).mean().item()

    generator = seeded()
    (context, x), held, test = drawn(20_000, generator), drawn(5000, generator), drawn(20_000, generator)
    torch.manual_seed(0)
    gmm = GMM(1, 1, components=12, covariance_type="diagonal", activation=torch.nn.SiLU)
    steps = partial(torch.optim.Adam, lr=5e-3)
    gmm.fit(x, context, held, 60, 512, steps, early_stopping=10, generator=generator)
    assert exact(*test) - 0.02 < density(gmm, *test) < exact(*test) + 1e-3
