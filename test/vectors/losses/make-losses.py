"""Writes losses.json: every loss of models/losses in plain NumPy (float64), with gradients by central differences.

    pip install numpy && python3 make-losses.py
"""
import json, os
import numpy as np

rng = np.random.default_rng(11)


def gradient(f, z, step=1e-6):
    flat = z.flatten()
    out = np.zeros_like(flat)
    for i in range(flat.size):
        up, down = flat.copy(), flat.copy()
        up[i] += step
        down[i] -= step
        out[i] = (f(up.reshape(z.shape)) - f(down.reshape(z.shape))) / (2 * step)
    return out.reshape(z.shape)


# --- depth: one picture at a time; z, t, w are [h, w], picture is [h, w, 3] or None ---------------------------------

def l1(z, t, w, picture, metric):
    return np.sum(w * np.abs(z - t)) / np.sum(w)


def l2(z, t, w, picture, metric):
    return np.sum(w * (z - t) ** 2) / np.sum(w)


def scale_invariant(z, t, w, picture, metric):
    d = z - t
    n = np.sum(w)
    return np.sum(w * d ** 2) / n - 0.5 * np.sum(w * d) ** 2 / n ** 2


def pair_masks(valid, step=1):
    v = valid[::step, ::step]
    return v[:, 1:] & v[:, :-1], v[1:, :] & v[:-1, :]


def scale_and_shift_invariant(z, t, w, picture, metric):
    valid = w > 0
    m = valid.sum()

    def standardise(x):
        values = np.sort(x[valid])
        median = values[(m - 1) // 2]
        return (x - median) / max(np.mean(np.abs(values - median)), 1e-2)

    r = standardise(z) - standardise(t)
    absolute = np.sort(np.abs(r[valid]))
    loss = np.sum(absolute[: int(np.floor(0.8 * m))]) / (2 * m)
    for step in (1, 2, 4, 8):
        s = r[::step, ::step]
        across, down = pair_masks(valid, step)
        total = np.sum(np.abs(s[:, 1:] - s[:, :-1])[across]) + np.sum(np.abs(s[1:, :] - s[:-1, :])[down])
        loss += 0.5 * total / max(1, valid[::step, ::step].sum())
    return loss


def ssim(z, t, w, picture, metric):
    c1, c2 = 0.01 ** 2, 0.03 ** 2
    values = []
    for y in range(z.shape[0] - 2):
        for x in range(z.shape[1] - 2):
            if not np.all(w[y:y + 3, x:x + 3] > 0):
                continue
            a, b = z[y:y + 3, x:x + 3], t[y:y + 3, x:x + 3]
            ma, mb = a.mean(), b.mean()
            covariance = np.mean((a - ma) * (b - mb))
            s = ((2 * ma * mb + c1) * (2 * covariance + c2)) / ((ma ** 2 + mb ** 2 + c1) * (a.var() + b.var() + c2))
            values.append((1 - s) / 2)
    return np.mean(values)


def smoothness(z, t, w, picture, metric):
    valid = w > 0
    inverse = np.exp(-z) / np.mean(np.exp(-z[valid])) if metric else z
    across, down = pair_masks(valid)
    dx, dy = np.abs(inverse[:, 1:] - inverse[:, :-1]), np.abs(inverse[1:, :] - inverse[:-1, :])
    if picture is not None:
        dx = dx * np.exp(-np.mean(np.abs(picture[:, 1:] - picture[:, :-1]), axis=2))
        dy = dy * np.exp(-np.mean(np.abs(picture[1:, :] - picture[:-1, :]), axis=2))
    return (dx[across].sum() + dy[down].sum()) / (across.sum() + down.sum())


def edge_aware(z, t, w, picture, metric):
    e = z - t
    across, down = pair_masks(w > 0)
    terms = np.concatenate([np.abs(e[:, 1:] - e[:, :-1])[across], np.abs(e[1:, :] - e[:-1, :])[down]])
    return np.mean(np.log(terms + 0.5) - np.log(0.5))


def edge_guided(*maps):
    return 0.85 * ssim(*maps) + 0.1 * l1(*maps) + 0.9 * smoothness(*maps)


def ranking(z, pairs):
    total = 0.0
    for first, second, order in pairs:
        difference = z.flat[first] - z.flat[second]
        total += difference ** 2 if order == 0 else np.log(1 + np.exp(-order * difference))
    return total / len(pairs)


DEPTH = {"l1": l1, "l2": l2, "scaleInvariant": scale_invariant, "scaleAndShiftInvariant": scale_and_shift_invariant,
         "ssim": ssim, "smoothness": smoothness, "edgeAware": edge_aware, "edgeGuided": edge_guided}


def depth_case(height, width, metric, with_picture):
    z, t = rng.normal(0, 1, (2, height, width))
    w = rng.choice([0, 0.25, 1, 1, 1, 1, 1, 1], (height, width))
    picture = rng.uniform(0, 1, (height, width, 3)) if with_picture else None
    cells = np.flatnonzero(w > 0)
    pairs = [[int(a), int(b), int(o)] for a, b, o in zip(rng.choice(cells, 20), rng.choice(cells, 20), rng.integers(-1, 2, 20))]
    losses = {}
    for name, f in DEPTH.items():
        of = lambda x: f(x, t, w, picture, metric)
        losses[name] = {"value": of(z), "gradient": gradient(of, z)}
    losses["ranking"] = {"value": ranking(z, pairs), "gradient": gradient(lambda x: ranking(x, pairs), z)}
    return {"height": height, "width": width, "metric": metric, "prediction": z, "target": t, "weight": w,
            "picture": picture, "pairs": pairs, "losses": losses}


# --- the other heads ------------------------------------------------------------------------------------------------

def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(z, s):
    return -np.sum(s * np.log(softmax(z))) / max(s.sum(), 1)


def class_focal(z, s):
    p = softmax(z)
    return -np.sum(s * (1 - p) ** 2 * np.log(p)) / max(s.sum(), 1)


def dice(z, s):
    p = softmax(z)
    labelled = s.sum(axis=1, keepdims=True)
    present = np.flatnonzero(s.sum(axis=0) > 0)
    terms = [1 - (2 * np.sum(p[:, k] * s[:, k]) + 1) / (np.sum(p[:, k] * labelled[:, 0]) + s[:, k].sum() + 1)
             for k in present]
    return np.mean(terms)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def heat_focal(z, heat, known):
    p = sigmoid(z)
    at, off = heat >= 1, heat < 1
    terms = np.where(at, (1 - p) ** 2 * np.log(p), (1 - heat) ** 4 * p ** 2 * np.log(1 - p)) * known[:, None, None]
    return -terms.sum() / max(1, (at * known[:, None, None]).sum())


def heat_cross_entropy(z, heat, known):
    p = sigmoid(z)
    terms = (heat * np.log(p) + (1 - heat) * np.log(1 - p)) * known[:, None, None]
    return -terms.sum() / max(1, ((heat >= 1) * known[:, None, None]).sum())


def giou(sides, cells, width):
    total, objects = 0.0, max(1, round(sum(c["weight"] for c in cells)))
    for c in cells:
        x, y = (c["cell"] % width + 0.5) * 4, (c["cell"] // width + 0.5) * 4
        reach = 16 * np.exp(np.clip(sides[c["sample"], c["cell"]], -5, 5))
        a = [x - reach[0], y - reach[1], x + reach[2], y + reach[3]]
        b = [c["left"], c["top"], c["right"], c["bottom"]]
        area = lambda r: (r[2] - r[0]) * (r[3] - r[1])
        both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
        union = area(a) + area(b) - both
        hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        total += c["weight"] / objects * (1 - both / union + (hull - union) / hull)
    return total


def class_case():
    z = rng.normal(0, 1.5, (12, 4))
    s = rng.multinomial(4, [0.4, 0.3, 0.3], 12) / 4
    s = np.concatenate([s, np.zeros((12, 1))], axis=1)
    s[3] = 0
    s[7] = s[7] / 2
    losses = {name: {"value": f(z, s), "gradient": gradient(lambda x: f(x, s), z)}
              for name, f in (("crossEntropy", cross_entropy), ("focal", class_focal), ("dice", dice))}
    return {"logits": z, "shares": s, "losses": losses}


def heat_case():
    z = rng.normal(0, 1.5, (2, 6, 2))
    heat = rng.uniform(0, 0.9, (2, 6, 2))
    heat[0, 2, 1] = heat[0, 5, 0] = heat[1, 1, 1] = 1
    known = np.array([1.0, 0.0])
    losses = {name: {"value": f(z, heat, known), "gradient": gradient(lambda x: f(x, heat, known), z)}
              for name, f in (("focal", heat_focal), ("crossEntropy", heat_cross_entropy))}
    return {"logits": z, "heat": heat, "known": known, "losses": losses}


def box_case():
    sides = rng.normal(-0.5, 0.7, (2, 9, 4))
    cells = []
    for sample, cell in ((0, 0), (0, 4), (1, 5), (1, 8)):
        left, top = rng.uniform(-10, 20, 2)
        across, down = rng.uniform(3, 30, 2)
        cells.append({"sample": sample, "cell": cell, "left": left, "top": top, "right": left + across,
                      "bottom": top + down, "weight": float(rng.choice([0.5, 1]))})
    of = lambda x: giou(x, cells, 3)
    return {"width": 3, "height": 3, "sides": sides, "cells": cells, "value": of(sides), "gradient": gradient(of, sides)}


def weights_case():
    """exp(-s) L + s for each task with labels (Kendall et al. 2018); the third task has none."""
    s = rng.normal(0, 0.6, 4)
    losses = [1.3, 0.4, None, 2.2]
    of = lambda x: sum(np.exp(-x[i]) * l + x[i] for i, l in enumerate(losses) if l is not None)
    return {"logVariances": s, "losses": losses, "value": of(s), "gradient": gradient(of, s)}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [float(f"{v:.12g}") for v in value.flatten()]
    return float(f"{value:.12g}") if isinstance(value, (float, np.floating)) else value


written = {
    "madeBy": "make-losses.py",
    "depth": [depth_case(6, 7, True, True), depth_case(9, 5, False, False), depth_case(5, 8, False, True)],
    "classes": class_case(),
    "heat": heat_case(),
    "boxes": box_case(),
    "weights": weights_case(),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses.json")
with open(path, "w") as file:
    json.dump(plain(written), file)
    file.write("\n")
