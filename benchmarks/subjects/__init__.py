"""The subjects, one file each. A function makes ready and returns what is timed:

- ``em(case)``: a function of the number of updates that returns the `Parameters` reached from ``case.start``;
- ``log_prob(case)``: one that returns the log-densities of ``case.x`` under ``case.truth``;
- ``gradient(case)``: the same, followed by gradients of their sum in rows and parameters;
- ``sample(case)``: one that returns as many draws as the case has rows.

What a subject has not raises ``NotImplementedError`` with the reason.
"""

# In the order of the tables; the first is the one that the others are compared with.
TITLES = {
    "mixtura": "Mixtura",
    "sklearn": "scikit-learn",
    "torch_mixture": "torch",
    "zuko_mixture": "zuko",
    "tgmm_mixture": "tgmm",
    "gmmx_mixture": "gmmx",
    "pomegranate_mixture": "pomegranate",
    "mclust": "mclust",
}
NAMES = tuple(TITLES)
