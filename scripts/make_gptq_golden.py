"""Makes test/golden/gptq.json: a matrix rounded by the formulas of GPTQ (Frantar et al. 2022, algorithm 1), in numpy.

    python scripts/make_gptq_golden.py

The paper's way, not this project's: the inverse of H, its upper Cholesky factor, and after every column the errors spread over all
columns that follow. Rows and weights are whole numbers over 64, so that JSON holds them exactly.
"""

import json
import pathlib
import platform

import numpy as np

ROWS, INPUTS, OUTPUTS, GROUP, DAMPING = 96, 64, 10, 32, 1e-4
COVERS = (1.05, 1, 0.96, 0.93, 0.9, 0.87, 0.84, 0.81, 0.78)
TARGET = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden" / "gptq.json"


def inverse_factor(rows):
    """The upper triangle U with UᵀU the inverse of H: XᵀX of rows in units of their root mean square, shrunk towards its diagonal."""
    rows = rows / np.sqrt((rows**2).mean(1, keepdims=True))
    hessian = rows.T @ rows
    hessian = hessian * ROWS + np.diag(np.diag(hessian)) * INPUTS
    hessian /= ROWS + INPUTS
    hessian += DAMPING * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    return np.linalg.cholesky(np.linalg.inv(hessian)).T


def fit_nibbles(block, importance):
    """Step and zero code of each row of a block: of several steps those of least error when they are made the best for their codes."""
    low, high = np.minimum(block.min(1), 0), np.maximum(block.max(1), 0)
    zero = np.floor(-low * 15 / (high - low) + 0.5)
    best = np.full(len(block), np.inf)
    step = np.zeros(len(block))
    for cover in COVERS:
        candidate = (high - low) * cover / 15
        codes = np.clip(np.floor(block / candidate[:, None] + zero[:, None] + 0.5), 0, 15) - zero[:, None]
        fitted = (block * codes * importance).sum(1) / (codes**2 * importance).sum(1)
        error = ((block - codes * fitted[:, None]) ** 2 * importance).sum(1)
        better = error < best
        best[better] = error[better]
        step[better] = fitted[better]
    return step.astype(np.float32).astype(np.float64), zero


def gptq(weights, rows, form):
    """Codes (int4: with their zero code taken off), and the steps of each group; the distance of the nearest tie."""
    factor = inverse_factor(rows)
    left = weights.copy()
    codes = np.zeros(weights.shape, int)
    steps, margin = [], 1.0
    for column in range(INPUTS):
        if column == 0 or (form != "rows" and column % GROUP == 0):
            block = left[:, column : column + GROUP] if form != "rows" else weights
            zero, low, high = np.zeros(OUTPUTS), -127, 127
            if form == "int4":
                importance = 1 / np.diag(factor)[column : column + GROUP] ** 2
                step, zero = fit_nibbles(block, importance)
                low, high = -zero, 15 - zero
            else:
                step = (np.abs(block).max(1) / 127).astype(np.float32).astype(np.float64)
            steps.append(step.tolist())
        value = left[:, column] / step
        margin = min(margin, np.abs(value - np.floor(value) - 0.5).min())
        codes[:, column] = np.clip(np.floor(value + 0.5), low, high)
        error = (left[:, column] - codes[:, column] * step) / factor[column, column]
        left[:, column:] -= np.outer(error, factor[column, column:])
    return {"codes": codes.tolist(), "steps": steps, "margin": margin}


def main():
    random = np.random.default_rng(7)
    mixing = random.normal(size=(INPUTS, INPUTS)) * 2.0 ** random.integers(-2, 2, INPUTS)
    rows = np.round(64 * random.normal(size=(ROWS, INPUTS)) @ mixing / 8)
    weights = np.round(64 * random.normal(size=(OUTPUTS, INPUTS)))
    golden = {
        "source": {
            "script": "scripts/make_gptq_golden.py",
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
        },
        "unit": 1 / 64,
        "rows": rows.astype(int).tolist(),
        "weights": weights.astype(int).tolist(),
        "forms": {form: gptq(weights / 64, rows / 64, form) for form in ("rows", "int8", "int4")},
    }
    assert all(form["margin"] > 1e-4 for form in golden["forms"].values()), "a tie: take another seed"
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
