"""Writes test/fixtures/metrics.json: scikit-learn's metrics of random logits, and its balanced class weights.

Needs numpy and scikit-learn. One case has a class that is never predicted and one that never occurs.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.utils.class_weight import compute_class_weight
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)


def case(seed: int, classes: int, count: int, shift: float) -> dict:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(0, 2, (count, classes)).round(3).astype(np.float32)
    logits[np.arange(count), labels] += shift
    if classes == 8:
        logits[:, 3] = -20  # never predicted
        labels[labels == 5] = 0  # never occurs
    wide = logits.astype(np.float64)
    probabilities = np.exp(wide - wide.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    every = list(range(classes))
    predicted = logits.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    top5 = 1.0 if classes <= 5 else top_k_accuracy_score(labels, logits, k=5, labels=every)
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "logits": [float(str(v)) for v in logits.ravel()],
        "top1": float((predicted == labels).mean()),
        "top5": float(top5),
        "loss": float(log_loss(labels, probabilities, labels=every)),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "confusion": confusion_matrix(labels, predicted, labels=every).tolist(),
    }


unbalanced = [0] * 7 + [1] * 2 + [2] * 11 + [3]
weights = compute_class_weight("balanced", classes=np.arange(4), y=np.array(unbalanced))
cases = [case(1, 8, 60, 1.5), case(2, 3, 25, 2.0), case(3, 20, 40, 3.0)]
path = pathlib.Path(__file__).parent.parent / "fixtures" / "metrics.json"
content = {
    "made_by": f"scikit-learn {sklearn.__version__}",
    "cases": cases,
    "balanced": {"labels": unbalanced, "weights": weights.tolist()},
}
path.write_text(json.dumps(content) + "\n")
