"""Writes metrics.json: classification, ranking, calibration and depth metrics of small random cases.

    pip install numpy scikit-learn==1.9.1 && python3 make-metrics.py

Classification and ranking are scikit-learn's; calibration and depth are written out in NumPy.
"""
import json, os
import numpy as np
from sklearn import metrics as sk

rng = np.random.default_rng(3)


def classification(size, classes, missing=None):
    truth = rng.integers(0, classes, size)
    predicted = np.where(rng.random(size) < 0.6, truth, rng.integers(0, classes, size))
    if missing is not None:
        truth[truth == missing] = (missing + 1) % classes
    labels = np.union1d(truth, predicted)
    confusion = sk.confusion_matrix(truth, predicted, labels=np.arange(classes))
    macro = dict(labels=labels, average="macro", zero_division=0)
    specificity = []
    for c in np.unique(truth):
        other = truth != c
        if other.any():
            specificity.append(np.mean(predicted[other] != c))
    return {
        "classes": classes,
        "confusion": confusion.flatten().tolist(),
        "accuracy": sk.accuracy_score(truth, predicted),
        "mIoU": sk.jaccard_score(truth, predicted, **macro),
        "precision": sk.precision_score(truth, predicted, **macro),
        "recall": sk.recall_score(truth, predicted, **macro),
        "f1": sk.f1_score(truth, predicted, **macro),
        "sensitivity": sk.balanced_accuracy_score(truth, predicted),
        "specificity": float(np.mean(specificity)),
    }


def ranking(size, digits):
    members = rng.random(size) < 0.35
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * members, 0.2), 0, 1), digits)
    false_rate, true_rate, _ = sk.roc_curve(members, scores, drop_intermediate=False)
    at = np.arange(101) / 100
    # At a vertical piece the upper end.
    curve = [float(np.max(true_rate[false_rate == x])) if np.any(false_rate == x) else float(np.interp(x, false_rate, true_rate)) for x in at]
    return {"scores": scores.tolist(), "members": members.tolist(), "auroc": sk.roc_auc_score(members, scores), "curve": curve}


def calibration(size):
    confidence = np.concatenate([rng.uniform(0.3, 1, size), [0, 1, 1 / 15, 0.2]])
    right = rng.random(size + 4) < confidence ** 1.5
    edges = np.linspace(0, 1, 16)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high) | ((low == 0) & (confidence == 0))
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return {"confidence": confidence.tolist(), "right": right.tolist(), "ece": float(error)}


def depth(kind, shift):
    truth = rng.uniform(0.5, 6, 48)
    valid = rng.random(48) < 0.8
    prediction = (truth + rng.normal(0, 0.8, 48)) * (1 if kind == "metric" else 0.2) + shift
    t, p = truth[valid], prediction[valid]
    unit = 1.0
    if kind != "metric":
        slope, intercept = np.polyfit(p, t, 1)
        if slope < 0:
            slope, intercept = 0.0, t.mean()
        p = slope * p + intercept
        unit = t.mean()
    floor = 1e-3 * t.mean()
    difference = np.log(np.maximum(p, floor)) - np.log(np.maximum(t, floor))
    ratio = np.exp(np.abs(difference))
    return {
        "kind": kind,
        "truth": truth.tolist(), "valid": valid.astype(int).tolist(), "prediction": prediction.tolist(),
        "squared": float(np.mean(((p - t) / unit) ** 2)),
        "absolute": float(np.mean(np.abs(p - t) / unit)),
        "relative": float(np.mean(np.abs(p - t) / t)),
        "squaredLog": float(np.mean(difference ** 2)),
        "silog": float(100 * np.std(difference)),
        "delta1": float(np.mean(ratio < 1.25)),
        "delta2": float(np.mean(ratio < 1.25 ** 2)),
        "delta3": float(np.mean(ratio < 1.25 ** 3)),
    }


written = {
    "madeBy": f"make-metrics.py, scikit-learn 1.9.1",
    "classification": [classification(60, 2), classification(90, 4), classification(80, 5, missing=2)],
    "ranking": [ranking(40, 6), ranking(70, 1), ranking(55, 2)],
    "calibration": [calibration(60), calibration(200)],
    "depth": [depth("metric", 0), depth("metric", -1), depth("relative", 3), depth("inverse", -2)],
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "metrics.json")
with open(path, "w") as file:
    json.dump(json.loads(json.dumps(written), parse_float=lambda text: float(f"{float(text):.10g}")), file)
    file.write("\n")
