"""Writes accountants.json: epsilons by Google's dp-accounting. pip install dp-accounting; python make-accountants.py

The last table is the bound of Kairouz, Liu and Steinke (2021), Proposition 14, written out in numpy.
"""

import json
import math
from importlib.metadata import version
from pathlib import Path

import dp_accounting as dp
import numpy as np
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant, compute_epsilon
from dp_accounting.rdp.rdp_privacy_accountant import DEFAULT_RDP_ORDERS


def event(rate, noise, times):
    one = dp.GaussianDpEvent(noise)
    return dp.SelfComposedDpEvent(one if rate == 1 else dp.PoissonSampledDpEvent(rate, one), times)


def epsilons(events, delta):
    rdp, pld = RdpAccountant(), PLDAccountant()
    for one in events:
        rdp.compose(one)
        pld.compose(one)
    return {"rdp": rdp.get_epsilon(delta), "pld": pld.get_epsilon(delta)}


GRID = [
    (rate, noise, times, delta)
    for rate in (1, 0.2, 0.01, 0.001)
    for noise in (0.6, 1, 4)
    for times in (1, 30, 1000)
    for delta in (1e-5, 1e-8)
]
MIXED = [
    ([(1, 4, 20), (0.1, 1.2, 300)], 1e-5),
    ([(0.05, 0.8, 100), (0.02, 2, 1000), (1, 10, 5)], 1e-6),
]
SUMS = [
    {"clients": n, "stddev": s, "sensitivity": c, "dimension": d, "times": t}
    for n in (1, 3, 10, 100)
    for s in (0.5, 1, 2, 200)
    for (c, d, t) in ((10 * s, 100, 1), (s, 10_000, 50), (3 * s, 300_000, 20))
]


def sum_divergence(order, clients, stddev, sensitivity, dimension):
    scale = sensitivity / math.sqrt(clients) / stddev
    tau = 10 * sum(math.exp(-2 * (math.pi * stddev) ** 2 * k / (k + 1)) for k in range(1, clients))
    return min(order / 2 * scale**2 + tau * dimension, order / 2 * (scale + math.sqrt(dimension) * tau) ** 2)


def sum_epsilon(case, delta):
    times = case["times"]
    of = {name: value for name, value in case.items() if name != "times"}
    rdp = np.array([times * sum_divergence(order, **of) for order in DEFAULT_RDP_ORDERS])
    return float(compute_epsilon(DEFAULT_RDP_ORDERS, rdp, delta)[0])


out = {
    "dpAccounting": version("dp-accounting"),
    "grid": [
        {"rate": q, "noiseMultiplier": z, "times": t, "delta": d, **epsilons([event(q, z, t)], d)}
        for (q, z, t, d) in GRID
    ],
    "mixed": [
        {
            "parts": [{"rate": q, "noiseMultiplier": z, "times": t} for (q, z, t) in parts],
            "delta": d,
            **epsilons([event(*part) for part in parts], d),
        }
        for (parts, d) in MIXED
    ],
    "sums": [{**case, "delta": 1e-5, "epsilon": sum_epsilon(case, 1e-5)} for case in SUMS],
}
lines = ",\n".join(
    f'  "{name}": ' + ("[\n    " + ",\n    ".join(json.dumps(row) for row in rows) + "\n  ]" if isinstance(rows, list) else json.dumps(rows))
    for name, rows in out.items()
)
Path(__file__).with_name("accountants.json").write_text("{\n" + lines + "\n}\n")
