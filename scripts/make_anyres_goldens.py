"""Makes test/golden/processor-image/anyres.json: pictures of noise as grids of tiles.

    python scripts/make_anyres_goldens.py            (Pillow, numpy, transformers; seconds)

sha256 of the f32 tiles [tiles, 3, S, S] of transformers' LlavaNextImageProcessorPil, and of the original's way (mm_utils.py:
choice of the canvas, resize_and_pad, division, base image), written here from its description over Pillow and CLIP's processor.
"""

import json
import math
import pathlib

import numpy as np
import PIL
import transformers
from make_image_goldens import noise_image, sha
from make_layout_goldens import original_canvas
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

OUT = pathlib.Path(__file__).parent.parent / "test" / "golden" / "processor-image" / "anyres.json"
SIZES = [(1, 1), (30, 20), (20, 30), (56, 56), (57, 200), (100, 101), (400, 45), (7, 500), (128, 171), (112, 56)]
SMALL = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
CASES = {
    "tiles of 56": (56, SMALL, SIZES),
    "many tiles": (24, [[24 * i, 24 * j] for i in range(1, 5) for j in range(1, 4)], SIZES),
    "released": (336, [[6 * side for side in pair] for pair in SMALL], [(640, 480), (300, 200), (200, 101)]),
}


def original_tiles(clip, side, pinpoints, image):
    width, height = original_canvas({"pinpoints": pinpoints}, *image.size)
    across, down = width / image.width, height / image.height
    if across < down:
        size = (width, min(math.ceil(image.height * across), height))
    else:
        size = (min(math.ceil(image.width * down), width), height)
    canvas = Image.new("RGB", (width, height), (0, 0, 0))
    canvas.paste(image.resize(size), ((width - size[0]) // 2, (height - size[1]) // 2))
    boxes = [(x, y, x + side, y + side) for y in range(0, height, side) for x in range(0, width, side)]
    tiles = [image.resize((side, side))] + [canvas.crop(box) for box in boxes]
    return np.stack([clip(tile, return_tensors="np")["pixel_values"][0] for tile in tiles])


def facts(tiles):
    assert tiles.dtype == np.float32
    return {"tiles": len(tiles), "sha256": sha(tiles)}


def case(name, side, pinpoints, sizes):
    options = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    processor = LlavaNextImageProcessorPil(**options, image_grid_pinpoints=pinpoints)
    clip = CLIPImageProcessorPil(**options)
    images = {}
    for seed, (width, height) in enumerate(sizes):
        image = Image.fromarray(noise_image(width, height, seed))
        hf = processor(image, return_tensors="np")["pixel_values"][0]
        images[f"{width}x{height}"] = {"hf": facts(hf), "original": facts(original_tiles(clip, side, pinpoints, image))}
    return {"name": name, "config": {**options, "image_grid_pinpoints": pinpoints}, "images": images}


if __name__ == "__main__":
    source = f"Pillow {PIL.__version__}, transformers {transformers.__version__}; python scripts/make_anyres_goldens.py"
    cases = [case(name, *parts) for name, parts in CASES.items()]
    OUT.write_text(json.dumps({"source": source, "cases": cases}, indent=1) + "\n")
