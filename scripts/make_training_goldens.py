"""Makes test/golden/training: losses, gradients and 20-step curves of PyTorch on the tiny models of test/golden/models.

    pip install -r scripts/requirements.txt
    python scripts/make_model_goldens.py            (first, with make_backbone_goldens.py: the checkpoints)
    python scripts/make_training_goldens.py         (seconds; files come out the same each time on one machine)

stage1, stage2   LLaVA 1.5: projector only; projector and language model (vision tower frozen in both)
backbone         LLaVA with SigLIP and Qwen2: gradients of one weight of each kind, tower included
clip             one contrastive step of the whole CLIP
Weights are named as in the published llava-hf files. See README.md for the layout.
"""

import shutil

import torch
from golden_common import GOLDEN, hub_name, make_readable, noise, random_ids, random_pixels, source, write_json, write_tensors
from safetensors.torch import load_file
from transformers import CLIPModel, LlavaForConditionalGeneration, get_cosine_schedule_with_warmup

SCRIPT = "make_training_goldens.py"
OUT = GOLDEN / "training"
IGNORE, PAD, BOS, EOS = -100, 0, 1, 2
STEPS, WARMUP, LEARNING_RATE, MAX_NORM = 20, 2, 1e-3, 1.0
BETAS, EPS = (0.9, 0.999), 1e-8
# A gradient this much smaller than the largest is zero in exact arithmetic: rounding is all it holds.
ZERO = 1e-6


def load_llava(stage, attention="eager"):
    model = LlavaForConditionalGeneration.from_pretrained(
        GOLDEN / "models" / "llava-1.5", dtype=torch.float32, attn_implementation=attention
    )
    for name, parameter in model.named_parameters():
        projector, tower = "multi_modal_projector" in name, "vision_tower" in name
        parameter.requires_grad = projector if stage == "stage1" else not tower
    return model.train()


def trainable(model):
    return {hub_name(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def example(before, after, answer, image, patches, seed):
    """Ids and labels of [BOS] words <image>×patches words | answer [EOS], trained right of the bar only."""
    words = random_ids(before + after + answer, image, seed).tolist()
    prompt = [BOS, *words[:before], *[image] * patches, *words[before : before + after]]
    target = [*words[before + after :], EOS]
    return prompt + target, [IGNORE] * len(prompt) + target


def make_batch(config):
    """Two examples of unlike length, padded on the right."""
    image, patches = config.image_token_index, config.image_seq_length
    rows = [example(2, 5, 7, image, patches, seed=11), example(0, 3, 4, image, patches, seed=12)]
    length = max(len(ids) for ids, _ in rows)
    pad = lambda row, value: row + [value] * (length - len(row))
    return {
        "input_ids": torch.tensor([pad(ids, PAD) for ids, _ in rows]),
        "attention_mask": torch.tensor([pad([1] * len(ids), 0) for ids, _ in rows]),
        "labels": torch.tensor([pad(labels, IGNORE) for _, labels in rows]),
        "pixel_values": random_pixels(2, config.vision_config.image_size, seed=13),
    }


def loss_of(model, batch):
    """Mean cross entropy of the next token over the labelled positions of the whole batch; the model's own loss agrees."""
    out = model(**batch, use_cache=False)
    logits, targets = out.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORE)
    assert abs(loss.item() - out.loss.item()) < 1e-6
    return loss


def gradients(parameters, loss):
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()))))


def norm_of(grads):
    return torch.cat([grad.flatten() for grad in grads.values()]).double().norm().item()


def gradient_facts(grads, others):
    """Norm over all; names of those that are zero but for rounding; largest relative error between two attention codes."""
    largest = max(grad.abs().max() for grad in grads.values())
    zero = [name for name, grad in grads.items() if grad.abs().max() < ZERO * largest]
    spread = max(noise(grads[name], others[name]) for name in grads if name not in zero)
    return {"grad_norm": norm_of(grads), "zero_gradients": zero, "noise": spread}


def write_step(folder, inputs, loss, grads, others, **facts):
    write_tensors(folder / "golden.safetensors", inputs | {f"grad.{name}": grad for name, grad in grads.items()})
    record = {"source": source(SCRIPT), **facts, "loss": loss.item(), **gradient_facts(grads, others)}
    write_json(folder / "golden.json", record)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.name}: {size / 1000:.0f} KB, loss {loss:.4f}, |g| {record['grad_norm']:.3f}, noise {record['noise']}")


def make_stage(stage, weight_decays):
    step = {}
    for attention in ("eager", "sdpa"):
        model = load_llava(stage, attention)
        batch = make_batch(model.config)
        loss = loss_of(model, batch)
        step[attention] = loss, gradients(trainable(model), loss)
    loss, grads = step["eager"]
    facts = {
        "checkpoint": "models/llava-1.5",
        "trained_tokens": int((batch["labels"][:, 1:] != IGNORE).sum()),
        "trainable": list(grads),
        "optimizer": optimizer_facts(),
        "curves": {f"weight_decay_{decay}": curve(stage, decay) for decay in weight_decays},
    }
    write_step(OUT / stage, batch, loss, grads, step["sdpa"][1], **facts)


def optimizer_facts():
    return {
        "name": "torch.optim.AdamW", "learning_rate": LEARNING_RATE, "betas": list(BETAS), "eps": EPS,
        "max_grad_norm": MAX_NORM, "schedule": "get_cosine_schedule_with_warmup", "warmup_steps": WARMUP, "steps": STEPS,
    }


def curve(stage, decay):
    """20 steps on the one batch. Each entry is from before that step's update; norms are from before clipping."""
    losses, rates, norms, model = run_steps(stage, decay, "eager")
    other = run_steps(stage, decay, "sdpa")[0]
    return {
        "weight_decay": decay,
        "decayed": [name for name, p in trainable(model).items() if decay and p.ndim > 1],
        "losses": losses,
        "learning_rates": rates,
        "grad_norms": norms,
        "loss_noise": float(f"{max(abs(a - b) for a, b in zip(losses, other)):.2g}"),
        "final": {name: checksum(parameter) for name, parameter in trainable(model).items()},
    }


def run_steps(stage, decay, attention):
    model = load_llava(stage, attention)
    batch = make_batch(model.config)
    parameters = list(trainable(model).values())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE, betas=BETAS, eps=EPS, foreach=False,
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)
    losses, rates, norms = [], [], []
    for _ in range(STEPS):
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        rates.append(schedule.get_last_lr()[0])
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM).item())
        optimizer.step()
        schedule.step()
    return losses, rates, norms, model


def checksum(parameter):
    values = parameter.detach().double()
    return {"mean": values.mean().item(), "abs_mean": values.abs().mean().item()}


# Tied embeddings, biases, a layer that sees everything and one with a window, and what SigLIP has unlike CLIP.
BACKBONE_WEIGHTS = (
    "language_model.model.embed_tokens.weight",
    "language_model.model.layers.0.self_attn.q_proj.bias",
    "language_model.model.layers.0.self_attn.v_proj.bias",
    "language_model.model.layers.1.self_attn.q_proj.bias",
    "language_model.model.layers.1.self_attn.k_proj.weight",
    "language_model.model.layers.1.mlp.down_proj.weight",
    "multi_modal_projector.linear_1.bias",
    "vision_tower.vision_model.embeddings.patch_embedding.bias",
    "vision_tower.vision_model.embeddings.position_embedding.weight",
    "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
    "vision_tower.vision_model.encoder.layers.2.layer_norm1.weight",
)


def make_backbone():
    step = {}
    for attention in ("eager", "sdpa"):
        model = LlavaForConditionalGeneration.from_pretrained(
            GOLDEN / "models" / "llava-siglip-qwen2", dtype=torch.float32, attn_implementation=attention
        ).train()
        named = {hub_name(name): parameter for name, parameter in model.named_parameters()}
        batch = make_batch(model.config)
        loss = loss_of(model, batch)
        step[attention] = loss, gradients({name: named[name] for name in BACKBONE_WEIGHTS}, loss)
    (loss, grads), (_, others) = step["eager"], step["sdpa"]
    write_step(OUT / "backbone", batch, loss, grads, others, checkpoint="models/llava-siglip-qwen2")


def make_clip():
    inputs = {
        name.removeprefix("pairs."): value
        for name, value in load_file(GOLDEN / "models" / "clip" / "golden.safetensors").items()
        if name in ("pairs.input_ids", "pairs.pixel_values")
    }
    step = {}
    for attention in ("eager", "sdpa"):
        model = CLIPModel.from_pretrained(GOLDEN / "models" / "clip", dtype=torch.float32, attn_implementation=attention)
        loss = model.train()(**inputs, return_loss=True).loss
        step[attention] = loss, gradients(dict(model.named_parameters()), loss)
    write_step(OUT / "clip", inputs, *step["eager"], step["sdpa"][1], checkpoint="models/clip")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    make_stage("stage1", (0.0,))
    make_stage("stage2", (0.0, 0.1))
    make_backbone()
    make_clip()
    make_readable(OUT)


if __name__ == "__main__":
    main()
