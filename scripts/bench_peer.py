"""PyTorch with transformers as one side of a benchmark: stays up, reads commands from standard input, a line of JSON each.

    python scripts/bench_peer.py

Replies are lines that begin with "@reply ". Times are taken here. Started by bench/worker.ts.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, LlavaNextForConditionalGeneration
from transformers.utils import logging

CLASSES = {"llava": LlavaForConditionalGeneration, "llava_next": LlavaNextForConditionalGeneration}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}

# Weights that no feature needs are not in the folder: that is no news.
logging.set_verbosity_error()

model = None


def load(folder, dtype, threads):
    """A LLaVA's folder, with scaled dot-product attention."""
    global model
    torch.set_num_threads(threads)
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        kind = json.load(file)["model_type"]
    model = CLASSES[kind].from_pretrained(folder, dtype=DTYPES[dtype], attn_implementation="sdpa").eval()


def pixels_in(file, shape):
    return torch.from_numpy(np.fromfile(file, np.float32)).reshape(shape).to(model.dtype)


def timed(run):
    start = time.perf_counter()
    with torch.inference_mode():
        result = run()
    return 1000 * (time.perf_counter() - start), result


def look(pixels, shape, output=None):
    """Milliseconds of the vision tower alone; its last hidden states go to the file `output`."""
    tower = model.model.vision_tower
    ms, result = timed(lambda: tower(pixel_values=pixels_in(pixels, shape)).last_hidden_state)
    if output:
        result.float().numpy().tofile(output)
    return ms


def first_token(pixels, shape, ids, image_size=None, output=None):
    """Milliseconds from pixels and ids to the last position's logits, which go to the file `output`."""
    inputs = {"pixel_values": pixels_in(pixels, shape), "input_ids": torch.tensor([ids])}
    if image_size:
        inputs["pixel_values"] = inputs["pixel_values"][None]
        inputs["image_sizes"] = torch.tensor([image_size])
    ms, result = timed(lambda: model(**inputs, use_cache=True, logits_to_keep=1).logits[0, -1])
    if output:
        result.float().numpy().tofile(output)
    return ms


def memory():
    """Bytes that the process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


COMMANDS = {"load": load, "look": look, "firstToken": first_token, "memory": memory}


def main():
    replies, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no reply
    for line in sys.stdin:
        args = json.loads(line)
        try:
            reply = {"result": COMMANDS[args.pop("command")](**args)}
        except Exception as error:  # the other side must hear of it, whatever it is
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(f"@reply {json.dumps(reply)}", file=replies, flush=True)


if __name__ == "__main__":
    main()
