"""Makes test/golden/training/muon.json: six updates of torch.optim.Muon on a tall, a wide and a square matrix.

    pip install -r scripts/requirements.txt
    python scripts/make_muon_golden.py

PyTorch orthogonalises in bf16, which no tight comparison survives: here its own code is made to do so in f32.
"""

import torch
from golden_common import GOLDEN, source, write_json

SHAPES = {"tall": (7, 4), "wide": (4, 9), "square": (5, 5)}
STEPS, LEARNING_RATE, WEIGHT_DECAY = 6, 0.02, 0.1

torch.bfloat16 = torch.float32


def random_matrix(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def main():
    matrices = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        parameter = torch.nn.Parameter(random_matrix(shape, seed=50 + number))
        optimizer = torch.optim.Muon([parameter], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        start, gradients, values = parameter.detach().flatten().tolist(), [], []
        for step in range(STEPS):
            parameter.grad = random_matrix(shape, seed=100 * (number + 1) + step)
            gradients.append(parameter.grad.flatten().tolist())
            optimizer.step()
            values.append(parameter.detach().flatten().tolist())
        matrices[name] = {"shape": list(shape), "start": start, "gradients": gradients, "values": values}
    settings = {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
    write_json(GOLDEN / "training" / "muon.json", {"source": source("make_muon_golden.py"), **settings, "matrices": matrices})


if __name__ == "__main__":
    main()
