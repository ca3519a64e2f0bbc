"""Functions of torch for which machine code is made, by name: each takes numbers of a shape to a tensor."""

import math

import torch
import torch.distributions as td

ANY, POSITIVE, UNIT = (-2.0, 2.0), (0.2, 4.0), (0.05, 0.95)


def positive_matrix(a):
    return a @ a.mT + 2 * torch.eye(a.shape[-1], dtype=a.dtype)


def factor(a):
    return torch.linalg.cholesky(positive_matrix(a))


def written_into(a):
    made = torch.zeros(3, 3, dtype=a.dtype)
    made[:, 1] = a[0]
    made[2] += a[1] * 2
    made[0, 0] = 5.0
    return made


def in_place(a):
    made = a.clone()
    made.mul_(3.0).add_(a)
    made[0].zero_()
    return made


UNARY = {
    "exp": ANY, "log": POSITIVE, "log1p": UNIT, "expm1": ANY, "sqrt": POSITIVE, "abs": ANY, "sin": ANY, "cos": ANY,
    "tan": UNIT, "asin": UNIT, "acos": UNIT, "atan": ANY, "sinh": ANY, "cosh": ANY, "tanh": ANY, "sigmoid": ANY,
    "erf": ANY, "erfc": ANY, "lgamma": POSITIVE, "reciprocal": POSITIVE, "rsqrt": POSITIVE, "square": ANY, "neg": ANY,
    "exp2": ANY, "log2": POSITIVE, "log10": POSITIVE, "sign": ANY, "floor": ANY, "ceil": ANY, "trunc": ANY,
    "relu": ANY, "frac": ANY, "nan_to_num": ANY, "positive": ANY, "detach": ANY, "sgn": ANY,
}  # fmt: skip

CASES = {
    **{name: (getattr(torch, name), where, (5,)) for name, where in UNARY.items() if name != "detach"},
    "far-log1p": (torch.log1p, (1e-9, 1e-3), (3,)),
    "far-expm1": (torch.expm1, (-40.0, 1e-6), (5,)),
    "far-exp": (lambda a: torch.exp(a) / 1e200, (-700.0, 700.0), (5,)),
    "far-tanh": (torch.tanh, (-30.0, 30.0), (5,)),
    "far-sigmoid": (torch.sigmoid, (-40.0, 40.0), (5,)),
    "log-ndtr": (torch.special.log_ndtr, (-60.0, 6.0), (9,)),
    "erfcx": (torch.special.erfcx, (-3.0, 40.0), (9,)),
    "ndtr": (torch.special.ndtr, (-6.0, 6.0), (5,)),
    "add-alpha": (lambda a: torch.add(a[0], a[1], alpha=3), ANY, (2, 3)),
    "sub-alpha": (lambda a: torch.sub(a[0], a[1], alpha=3), ANY, (2, 3)),
    "rsub": (lambda a: torch.rsub(a[0], a[1]) + (2.0 - a[0]), ANY, (2, 3)),
    "div": (lambda a: a[0] / a[1] + a[0] / 3 + 2 / a[1], POSITIVE, (2, 3)),
    "div-floor": (lambda a: torch.div(a[0], a[1], rounding_mode="floor") * a[0], POSITIVE, (2, 3)),
    "pow-number": (lambda a: a**2 + a**3 + a**-2 + a**0.5 + a**1.7 + a**0, POSITIVE, (4,)),
    "pow-below-zero": (lambda a: a**3 + a**-2, (-2.0, -0.5), (4,)),
    "pow-tensor": (lambda a: a[0] ** a[1] + 2.0 ** a[1], POSITIVE, (2, 3)),
    "atan2": (lambda a: torch.atan2(a[0], a[1]), ANY, (2, 3)),
    "hypot": (lambda a: torch.hypot(a[0], a[1]), ANY, (2, 3)),
    "maximum": (lambda a: torch.maximum(a[0], a[1]) * torch.minimum(a[0], a[1]), ANY, (2, 5)),
    "clamp": (lambda a: a.clamp(min=-0.3) * a.clamp(max=0.5) * a.clamp(-0.5, 0.5), ANY, (7,)),
    "clamp-tensor": (lambda a: torch.clamp(a[0], min=a[1], max=a[1] + 1), ANY, (2, 5)),
    "where": (lambda a: torch.where(a > 0, a.exp(), 3.0) + torch.where(a < 1, 0.0, a), ANY, (7,)),
    "compare": (lambda a: (a[0] > a[1]) * a[0] + (a[0] <= a[1]) * (a[1] >= 0) * a[1], ANY, (2, 5)),
    "logical": (lambda a: a * ((a > 0) & (a < 1) | ~(a > -1)) + a * torch.logical_xor(a > 0, a > 1), ANY, (9,)),
    "masked-fill": (lambda a: a.masked_fill(a > 0, 4.0), ANY, (7,)),
    "xlogy": (lambda a: torch.xlogy(a[0], a[1]) + torch.special.xlog1py(a[0], a[1]), POSITIVE, (2, 3)),
    "xlogy-zero": (lambda a: torch.xlogy(torch.zeros(3, dtype=a.dtype), a), POSITIVE, (3,)),
    "logaddexp": (lambda a: torch.logaddexp(a[0], a[1]), ANY, (2, 3)),
    "softplus": (torch.nn.functional.softplus, (-10.0, 10.0), (5,)),
    "logsigmoid": (torch.nn.functional.logsigmoid, (-10.0, 10.0), (5,)),
    "addcmul": (lambda a: torch.addcmul(a[0], a[1], a[2], value=2) + torch.addcdiv(a[0], a[1], a[2]), POSITIVE, (3, 2)),
    "lerp": (lambda a: torch.lerp(a[0], a[1], 0.3) + torch.lerp(a[0], a[1], a[2]), ANY, (3, 2)),
    "mvlgamma": (lambda a: torch.mvlgamma(a, 3), (2.0, 5.0), (3,)),
    "remainder": (lambda a: torch.remainder(a, 0.7) + torch.fmod(a, 0.7), (-3.0, 3.0), (7,)),
    "finite": (lambda a: torch.where(a.isfinite() & ~a.isnan() & ~a.isinf(), a, 0.0), ANY, (3,)),
    "sum": (lambda a: a.sum() * a.sum(0) + a.sum(1, keepdim=True).T + a.sum((0, 1)), ANY, (3, 3)),
    "mean": (lambda a: a.mean(0) * a.mean(), ANY, (3, 4)),
    "prod": (lambda a: a.prod(0) + a.prod(), ANY, (3, 3)),
    "var": (lambda a: a.var() + a.var(0).sum() + a.std(1, correction=0).sum(), ANY, (3, 4)),
    "norm": (lambda a: a.norm() + torch.linalg.vector_norm(a, 1), ANY, (3, 4)),
    "extremes": (lambda a: a.amax(0) * a.amin(1) + a.max() * a.min() + a.max(0).values - a.min(1)[0], ANY, (3, 3)),
    "logsumexp": (lambda a: a.logsumexp(0) * a.logsumexp(1, keepdim=True).mT + a.logsumexp((0, 1)), ANY, (3, 3)),
    "logsumexp-nothing": (lambda a: torch.cat([a, torch.full((1,), -math.inf, dtype=a.dtype)]).logsumexp(0), ANY, (3,)),
    "softmax": (lambda a: a.softmax(0) * a.log_softmax(1), ANY, (3, 3)),
    "cumulated": (lambda a: a.cumsum(0) * a.cumprod(1) + a.logcumsumexp(1), ANY, (3, 3)),
    "views": (lambda a: a.view(4, 3).T.reshape(2, 6)[:, 1::2].permute(1, 0).flatten().unflatten(0, (3, 2)),
              ANY, (3, 4)),
    "more-views": (lambda a: a.squeeze(1).unsqueeze(0).expand(2, 3).transpose(0, 1).movedim(0, 1), ANY, (3, 1)),
    "selected": (lambda a: a[0] * a[..., 1] + a[:, None, 2][:, 0] + a[-1], ANY, (3, 3)),
    "indexed": (lambda a: a[[0, 2]] + a[torch.tensor([True, False, True])] + a[torch.tensor([[1], [0]]), [0, 1, 2]],
                ANY, (3, 3)),
    "gather": (lambda a: a.gather(1, torch.tensor([[0, 2], [1, 1], [2, 0]])) + a.index_select(1, torch.tensor([2, 0])),
               ANY, (3, 3)),
    "joined": (lambda a: torch.cat([a, a[:1] * 2]).sum(0) + torch.stack([a[0], a[1]], 1).prod(1), ANY, (3, 3)),
    "split": (lambda a: sum(one.exp().sum() * i for i, one in enumerate([*a.split(2), *a.unbind(1), *a.chunk(2, 1)])),
              ANY, (4, 4)),
    "triangles": (lambda a: a.tril() * 2 + a.triu(1) ** 2 + a.tril(-1), ANY, (3, 3)),
    "diagonals": (lambda a: torch.diag_embed(a.diagonal()) @ a + torch.diag(a[0]) + a.trace(), ANY, (3, 3)),
    "moved": (lambda a: a.flip(0) * a.roll(1, 0) + a.repeat(2, 1)[:3], ANY, (3, 3)),
    "padded": (lambda a: torch.nn.functional.pad(a, (1, -1), value=2.0) * a, ANY, (3, 3)),
    "diff": (lambda a: a.diff(dim=0).exp(), ANY, (3, 3)),
    "products": (lambda a: a @ a + (a @ a[0]) + a[0] @ a + (a[0] @ a[1]) + torch.einsum("ij,kj->ik", a, a),
                 ANY, (3, 3)),
    "batched": (lambda a: torch.bmm(a, a.mT) + torch.einsum("bij,bkj->bik", a, a) + torch.baddbmm(a, a, a),
                ANY, (2, 3, 3)),
    "added-products": (lambda a: torch.addmm(a, a, a, beta=2, alpha=3) + torch.addmv(a[0], a, a[1]), ANY, (3, 3)),
    "outer": (lambda a: torch.outer(a, a) + torch.linalg.multi_dot([a[None], torch.outer(a, a), a[:, None]]),
              ANY, (3,)),
    "cholesky": (factor, ANY, (3, 3)),
    "cholesky-batched": (lambda a: torch.linalg.cholesky(positive_matrix(a)), ANY, (2, 2, 2)),
    "triangular": (lambda a: torch.linalg.solve_triangular(factor(a), a, upper=False), ANY, (3, 3)),
    "triangular-upper": (lambda a: torch.linalg.solve_triangular(factor(a).mT, a, upper=True), ANY, (3, 3)),
    "triangular-right": (lambda a: torch.linalg.solve_triangular(factor(a), a, upper=False, left=False), ANY, (3, 3)),
    "triangular-unit": (lambda a: torch.linalg.solve_triangular(a.tril(), a, upper=False, unitriangular=True),
                        ANY, (3, 3)),
    "cholesky-solve": (lambda a: torch.cholesky_solve(a, factor(a)) + torch.cholesky_inverse(factor(a)), ANY, (3, 3)),
    "inverse": (lambda a: torch.linalg.inv(positive_matrix(a)), ANY, (3, 3)),
    "solve": (lambda a: torch.linalg.solve(positive_matrix(a), a), ANY, (3, 3)),
    "written-into": (written_into, ANY, (2, 3)),
    "in-place": (in_place, ANY, (3,)),
}  # fmt: skip


def unchecked(law):
    """A law that does not look at numbers to check them, which is no part of a density."""
    for one in vars(law).values():
        if isinstance(one, td.Distribution):
            unchecked(one)
    law.__dict__["_validate_args"] = False
    return law


_POSITIVE = {
    "HalfCauchy": td.HalfCauchy(2.0),
    "HalfNormal": td.HalfNormal(2.0),
    "Gamma": td.Gamma(2.0, 3.0),
    "InverseGamma": td.InverseGamma(torch.tensor(2.0).double(), torch.tensor(3.0).double()),
    "LogNormal": td.LogNormal(torch.tensor(0.3).double(), torch.tensor(0.7).double()),
    "Exponential": td.Exponential(0.5),
    "Weibull": td.Weibull(torch.tensor(1.5).double(), torch.tensor(2.5).double()),
    "Chi2": td.Chi2(3.0),
    "FisherSnedecor": td.FisherSnedecor(3.0, 4.0),
    "Pareto": td.Pareto(torch.tensor(0.1).double(), torch.tensor(2.0).double()),
}
_REAL = {
    "Normal": td.Normal(1.0, 2.0),
    "StudentT": td.StudentT(3.0, 0.5, 2.0),
    "Laplace": td.Laplace(0.3, 2.0),
    "Cauchy": td.Cauchy(0.3, 2.0),
    "Gumbel": td.Gumbel(torch.tensor(0.3).double(), torch.tensor(2.0).double()),
    "VonMises": td.VonMises(0.3, 2.0),
}
_UNIT = {
    "Beta": td.Beta(2.0, 3.0),
    "Uniform": td.Uniform(0.0, 1.0),
    "Kumaraswamy": td.Kumaraswamy(torch.tensor(2.0).double(), torch.tensor(3.0).double()),
    "ContinuousBernoulli": td.ContinuousBernoulli(torch.tensor(0.3).double()),
}
LAWS = {
    **{name: (unchecked(law), POSITIVE, (3,)) for name, law in _POSITIVE.items()},
    **{name: (unchecked(law), ANY, (3,)) for name, law in _REAL.items()},
    **{name: (unchecked(law), UNIT, (3,)) for name, law in _UNIT.items()},
}
