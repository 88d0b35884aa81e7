"""Writes distillation.json: the losses of models/losses/distillation.ts in plain NumPy (float64), with gradients by
central differences.

    pip install numpy && python3 make-distillation.py
"""
import json, os
import numpy as np

rng = np.random.default_rng(23)


def gradient(f, z, step=1e-6):
    flat = z.flatten()
    out = np.zeros_like(flat)
    for i in range(flat.size):
        up, down = flat.copy(), flat.copy()
        up[i] += step
        down[i] -= step
        out[i] = (f(up.reshape(z.shape)) - f(down.reshape(z.shape))) / (2 * step)
    return out.reshape(z.shape)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def classes(s, t, T):
    p, q = softmax(t / T), softmax(s / T)
    return T ** 2 * np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=-1))


def depth(s, t, T):
    return np.mean((s - t) ** 2)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def detection(s, t, T):
    p, q = sigmoid(t[..., :-4] / T), sigmoid(s[..., :-4] / T)
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    seen = sigmoid(t[..., :-4]).max(axis=-1)
    sides = np.mean((s[..., -4:] - t[..., -4:]) ** 2, axis=-1)
    return (T ** 2 * kl.sum() + np.sum(seen * sides)) / max(1, seen.sum())


cases = []
for head, f, shape in [
    ("segmentation", classes, (2, 3, 4, 5)),
    ("scene", classes, (3, 4)),
    ("depth", depth, (2, 3, 4, 1)),
    ("detection", detection, (2, 3, 4, 6)),
    ("detection", detection, (1, 1, 2, 5)),
]:
    for T in (1.0, 2.5):
        s, t = rng.normal(size=shape), rng.normal(size=shape) * 2
        cases.append({
            "head": head, "temperature": T, "shape": list(shape),
            "student": s.flatten().tolist(), "teacher": t.flatten().tolist(),
            "value": float(f(s, t, T)),
            "gradient": gradient(lambda z: f(z, t, T), s).flatten().tolist(),
        })

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "distillation.json")
with open(path, "w") as out:
    json.dump(cases, out)
    out.write("\n")
