"""Makes test/golden/models/image-layouts.json: grids and token counts of pictures of many sizes.

    python scripts/make_layout_goldens.py            (transformers; seconds)

`hf` is what transformers' processors count; `original` follows the rules of the original repositories (grid choice in
mm_utils.py, cutting of padding and merging in llava_arch.py), written here from their description. A row of `sizes` is
[width, height, then for hf and for original: canvas width, canvas height, tokens].
"""

import json
import math
import pathlib
import random
from types import SimpleNamespace

import transformers
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor

OUT = pathlib.Path(__file__).parent.parent / "test" / "golden" / "models" / "image-layouts.json"

RELEASED = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
SETS = {
    "released": dict(pinpoints=RELEASED, tile=336, patches=24),
    "article": dict(pinpoints=[[672, 672], [336, 1344], [1344, 336]], tile=336, patches=24),
    "lopsided": dict(pinpoints=[[1008, 336], [672, 336], [336, 336]], tile=336, patches=24),
    "onevision": dict(pinpoints=[[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)], tile=384, patches=27, limit=9),
}
TABLE = [
    (100, 100), (224, 224), (336, 336), (300, 200), (200, 300), (500, 333), (333, 500), (640, 480), (800, 600), (1024, 768),
    (4032, 3024), (480, 640), (1024, 899), (1280, 720), (1920, 1080), (720, 1280), (672, 336), (336, 672), (1008, 336),
    (3000, 1000), (336, 1008), (1344, 336), (2000, 500), (336, 1344), (748, 352), (4000, 100), (100, 4000), (1000, 7), (7, 1000),
    (1, 1), (65535, 1), (1, 65535),
]


def hf_tokens(facts, width, height):
    """transformers' own counting code, without an image or a tokenizer."""
    kind = LlavaOnevisionProcessor if "limit" in facts else LlavaNextProcessor
    processor = SimpleNamespace(
        image_processor=SimpleNamespace(image_grid_pinpoints=facts["pinpoints"]), patch_size=facts["tile"] // facts["patches"],
        num_additional_image_tokens=0, vision_aspect_ratio=f"anyres_max_{facts.get('limit')}",
    )
    if "limit" in facts:
        processor.num_image_tokens = facts["patches"] ** 2
    processor._get_unpadded_features = lambda *args: kind._get_unpadded_features(processor, *args)
    return kind._get_number_of_features(processor, height, width, facts["tile"], facts["tile"])


def original_canvas(facts, width, height):
    """Of the canvases as (width, height): most pixels of the picture shown, then least waste, then the first."""
    ranked = []
    for index, (canvas_width, canvas_height) in enumerate(facts["pinpoints"]):
        scale = min(canvas_width / width, canvas_height / height)
        shown = min(int(width * scale) * int(height * scale), width * height)
        ranked.append((-shown, canvas_width * canvas_height - shown, index))
    return facts["pinpoints"][min(ranked)[2]]


def original_tokens(facts, width, height):
    side = facts["patches"]
    canvas = original_canvas(facts, width, height)
    columns, rows = (size // facts["tile"] * side for size in canvas)
    if width / height > columns / rows:
        rows -= (rows - int(height * (columns / width))) // 2 * 2
    else:
        columns -= (columns - int(width * (rows / height))) // 2 * 2
    if "limit" in facts:
        times = math.sqrt(rows * columns / (facts["limit"] * side**2))
        if times > 1.1:
            rows, columns = int(rows // times), int(columns // times)
    return side * side + rows * (columns + 1)


def row(facts, width, height):
    hf_height, hf_width = select_best_resolution((height, width), facts["pinpoints"])
    hf = [hf_width, hf_height, hf_tokens(facts, width, height)]
    return [width, height, *hf, *original_canvas(facts, width, height), original_tokens(facts, width, height)]


def main():
    numbers = random.Random(1)
    sizes = TABLE + [(numbers.randint(20, 2000), numbers.randint(20, 2000)) for _ in range(100)]
    sizes += [(round(1.01 ** numbers.uniform(1, 900)), round(1.01 ** numbers.uniform(1, 900))) for _ in range(100)]
    sets = {name: {**facts, "sizes": [row(facts, *size) for size in sizes]} for name, facts in SETS.items()}
    source = f"transformers {transformers.__version__}; python scripts/make_layout_goldens.py"
    text = json.dumps({"source": source, "sets": sets}).replace("], [", "],\n[")
    OUT.write_text(text + "\n")


if __name__ == "__main__":
    main()
