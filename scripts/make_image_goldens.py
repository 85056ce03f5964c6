"""Makes test/golden/processor-image: small image files of every kind, and what Pillow and transformers make of them.

    python scripts/make_image_goldens.py            (Pillow, numpy, transformers)

files/*          images of a few hundred bytes to a few KB, drawn from formulas and seeded noise
decode.json      for each file: size and sha256 of ImageOps.exif_transpose(image).convert("RGB")
resize.json      sha256 of Image.resize for many sizes and filters, of images of noise that the tests rebuild
preprocess.json  sha256 of the f32 pixel values of the PIL processors for CLIP, LLaVA and SigLIP, of the same images
"""

import hashlib
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
import transformers
from PIL import Image, ImageCms, ImageOps
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

OUT = pathlib.Path(__file__).parent.parent / "test" / "golden" / "processor-image"
FILES = OUT / "files"
VERSIONS = f"Pillow {PIL.__version__}, transformers {transformers.__version__}"


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def noise(count, seed):
    """uint8 noise that the tests rebuild: x ← 1664525·x + 1013904223 mod 2^32, top byte of each."""
    out = np.empty(count, np.uint8)
    x = seed
    for i in range(count):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        out[i] = x >> 24
    return out


def noise_image(width, height, seed):
    return noise(width * height * 3, seed).reshape(height, width, 3)


def scene(width, height):
    """A picture with slopes, edges and a little noise, so that codecs have something to do."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 13) % 256]
    picture = np.stack(planes, -1).astype(np.int32)
    picture[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2] = (230, 40, 60)
    return np.clip(picture + noise_image(width, height, 1).astype(np.int32) // 32 - 4, 0, 255).astype(np.uint8)


# --- PNG writer for the kinds that Pillow does not write ---------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """samples [h, w, channels] → PNG scan lines with filter 0."""
    height, width, channels = samples.shape
    if depth == 16:
        rows = samples.astype(">u2").tobytes()
        stride = width * channels * 2
        return b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)


def png(samples, colour_type, depth=8, interlace=False, before=b"", header_size=None):
    height, width = samples.shape[:2]
    samples = samples.reshape(height, width, CHANNELS[colour_type])
    if interlace:
        passes = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
        raw = b"".join(pack_rows(p, depth) for p in passes if p.size)
    else:
        raw = pack_rows(samples, depth)
    w, h = header_size or (width, height)
    header = struct.pack(">IIBBBBB", w, h, depth, colour_type, 0, 0, int(interlace))
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(image, orientation, kind, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, kind, exif=exif, **options)


def swapped_profile():
    """An ICC profile that would turn red into blue: sRGB with two tag names exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"\0\0\0\0", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"\0\0\0\0", b"\0\0\0\0")



# --- The files ---------------------------------------------------------------------------------------------------


def png_files():
    picture = scene(37, 29)
    grey = picture[..., 0]
    alpha = (np.arange(37)[None, :] * 5 + np.arange(29)[:, None]).astype(np.uint8)
    rgba = np.dstack([picture, alpha])
    deep = picture.astype(np.uint16) * 256 + noise_image(37, 29, 2)
    palette = noise(48, 3)
    plte = chunk(b"PLTE", palette.tobytes())
    index = grey // 16
    return {
        "grey-1": png(grey > 99, 0, 1),
        "grey-2": png(grey // 64, 0, 2),
        "grey-4": png(index, 0, 4),
        "grey-8": png(grey, 0),
        "grey-8-trns": png(grey, 0, before=chunk(b"tRNS", struct.pack(">H", 77))),
        "grey-16": png(np.arange(37 * 29).reshape(29, 37) % 700, 0, 16),
        "grey-16-trns": png(np.arange(37 * 29).reshape(29, 37) % 700, 0, 16, before=chunk(b"tRNS", struct.pack(">H", 77))),
        "grey-alpha-8": png(np.dstack([grey, alpha]), 4),
        "grey-alpha-16": png(np.dstack([deep[..., 0], deep[..., 1]]), 4, 16),
        "rgb-8": png(picture, 2),
        "rgb-8-trns": png(picture, 2, before=chunk(b"tRNS", struct.pack(">HHH", *map(int, picture[5, 5])))),
        "rgb-8-adam7": png(picture, 2, interlace=True),
        "rgb-8-gamma": png(picture, 2, before=chunk(b"gAMA", struct.pack(">I", 100000))),
        "rgb-8-icc": png(picture, 2, before=chunk(b"iCCP", b"x\0\0" + zlib.compress(swapped_profile()))),
        "rgb-16": png(deep, 2, 16),
        "rgba-8": png(rgba, 6),
        "rgba-8-adam7": png(rgba, 6, interlace=True),
        "rgba-16": png(np.dstack([deep, deep[..., 0]]), 6, 16),
        "palette-1": png(grey > 99, 3, 1, before=plte),
        "palette-2": png(grey // 64, 3, 2, before=plte),
        "palette-4": png(index, 3, 4, before=plte),
        "palette-8": png(index, 3, 8, before=plte),
        "palette-8-trns": png(index, 3, 8, before=plte + chunk(b"tRNS", bytes(range(0, 160, 20)))),
        "palette-4-adam7": png(index, 3, 4, interlace=True, before=plte),
        "orientation-6": with_orientation(Image.fromarray(picture), 6, "PNG"),
        "1x1": png(picture[:1, :1], 2),
    }


def jpeg_files():
    picture = Image.fromarray(scene(37, 29))
    files = {f"orientation-{n}": with_orientation(picture, n, "JPEG", quality=80) for n in range(10)}
    for name, options in {
        "444": {"subsampling": 0, "quality": 92},
        "422": {"subsampling": 1},
        "420": {"subsampling": 2},
        "quality-5": {"quality": 5},
        "progressive": {"progressive": True, "quality": 90},
        "restart": {"restart_marker_blocks": 2},
        "icc": {"icc_profile": swapped_profile()},
        "rgb": {"keep_rgb": True},
    }.items():
        files[name] = saved(picture, "JPEG", **options)
    files["grey"] = saved(picture.convert("L"), "JPEG")
    files["grey-progressive"] = saved(picture.convert("L"), "JPEG", progressive=True)
    files["cmyk"] = saved(cmyk(37, 29), "JPEG", quality=90)
    files["cmyk-orientation-8"] = with_orientation(cmyk(37, 29), 8, "JPEG", quality=90)
    files["cmyk-icc"] = saved(cmyk(37, 29), "JPEG", quality=90, icc_profile=swapped_profile())
    files["1x1"] = saved(picture.crop((0, 0, 1, 1)), "JPEG")
    files["large"] = saved(Image.fromarray(scene(231, 157)), "JPEG", quality=60)
    return files


def cmyk(width, height):
    picture = scene(width, height)
    return Image.fromarray(np.dstack([picture, picture[::-1, :, 1]]), "CMYK")


def webp_files():
    picture = Image.fromarray(scene(37, 29))
    alpha = Image.fromarray((np.arange(37)[None, :] * 8 + np.zeros((29, 1), int)).clip(0, 255).astype(np.uint8))
    rgba = picture.copy()
    rgba.putalpha(alpha)
    other = Image.fromarray(scene(37, 29)[::-1].copy())
    return {
        "lossy": saved(picture, "WEBP", quality=80),
        "lossy-quality-5": saved(picture, "WEBP", quality=5),
        "lossless": saved(picture, "WEBP", lossless=True),
        "lossy-alpha": saved(rgba, "WEBP", quality=80),
        "lossless-alpha": saved(rgba, "WEBP", lossless=True, exact=True),
        "animated": saved(picture, "WEBP", save_all=True, append_images=[other], lossless=True),
        "animated-alpha": saved(rgba, "WEBP", save_all=True, append_images=[other], lossless=True, exact=True),
        "orientation-5": with_orientation(picture, 5, "WEBP", lossless=True),
        "icc": saved(picture, "WEBP", lossless=True, icc_profile=swapped_profile()),
    }


def gif_files():
    picture = Image.fromarray(scene(37, 29)).quantize(32, dither=Image.Dither.NONE)
    other = Image.fromarray(scene(37, 29)[::-1].copy()).quantize(32)
    grey = Image.fromarray(scene(37, 29)[..., 0] // 32 * 36)
    plain = saved(picture, "GIF")
    return {
        "plain": plain,
        "interlaced": saved(picture, "GIF", interlace=1),
        "not-interlaced": saved(picture, "GIF", interlace=0),
        "grey": saved(grey, "GIF"),
        "transparent": saved(picture, "GIF", transparency=5),
        "animated": saved(picture, "GIF", save_all=True, append_images=[other], duration=50, loop=0),
        "animated-transparent": saved(
            picture, "GIF", save_all=True, append_images=[other], transparency=3, disposal=2, background=7
        ),
        "small-frame": small_first_frame(plain, background=4),
        "small-frame-transparent": small_first_frame(saved(picture, "GIF", transparency=5), background=4),
        "local-palette": with_palette(plain, local=colours(plain)[::-1]),
        "two-palettes": with_palette(plain, colours(plain), local=bytes(range(96))),
        "short-palette": with_palette(plain, colours(plain)[:24]),
        "no-palette": with_palette(plain),
        "1x1": saved(picture.crop((0, 0, 1, 1)), "GIF"),
    }


def colours(gif):
    return gif[13 : 13 + (6 << (gif[10] & 7))]


def with_palette(gif, everywhere=b"", local=b""):
    """The same indices with other palettes, of 3 · 2^n bytes, or with none."""

    def flags(palette):
        return 0x80 | len(palette).bit_length() - 3 if palette else 0

    body = bytearray(gif[13 + len(colours(gif)) :])
    descriptor = body.index(b",\0\0\0\0")
    body[descriptor + 9] |= flags(local)
    head = gif[:10] + bytes([gif[10] & 0x78 | flags(everywhere)]) + gif[11:13]
    return head + everywhere + bytes(body[: descriptor + 10]) + local + bytes(body[descriptor + 10 :])


def small_first_frame(gif, background):
    """The same frame at (7, 3) of a canvas of 60 × 50 with a background colour."""
    out = bytearray(gif)
    out[6:10] = struct.pack("<HH", 60, 50)
    out[11] = background
    descriptor = out.index(b",\0\0\0\0")
    out[descriptor + 1 : descriptor + 5] = struct.pack("<HH", 7, 3)
    return bytes(out)


def write_files():
    FILES.mkdir(parents=True, exist_ok=True)
    for old in FILES.iterdir():
        old.unlink()
    kinds = {"png": png_files(), "jpg": jpeg_files(), "webp": webp_files(), "gif": gif_files()}
    for extension, files in kinds.items():
        for name, data in files.items():
            (FILES / f"{name}.{extension}").write_bytes(data)


def decode_goldens():
    out = {}
    for path in sorted(FILES.iterdir()):
        image = Image.open(path)
        mode = image.mode
        rgb = np.array(ImageOps.exif_transpose(image).convert("RGB"))
        out[path.name] = {"mode": mode, "width": rgb.shape[1], "height": rgb.shape[0], "sha256": sha(rgb)}
    return out


# --- Resampling and preprocessing of noise -----------------------------------------------------------------------

RESIZES = [
    ((1, 1), (336, 336)),
    ((1, 1), (1, 1)),
    ((2, 3), (5, 4)),
    ((7, 1000), (336, 40)),
    ((1000, 7), (40, 336)),
    ((64, 64), (336, 336)),
    ((336, 336), (336, 336)),
    ((336, 200), (336, 100)),
    ((333, 500), (336, 504)),
    ((640, 480), (448, 336)),
    ((500, 333), (17, 11)),
    ((101, 97), (100, 98)),
    ((255, 3), (3, 255)),
    ((3000, 2), (1, 1)),
]
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}


def resize_goldens():
    cases = []
    for index, ((width, height), out) in enumerate(RESIZES):
        image = Image.fromarray(noise_image(width, height, index))
        hashes = {name: sha(image.resize(out, code)) for name, code in FILTERS.items()}
        cases.append({"seed": index, "from": [width, height], "to": out, "sha256": hashes})
    return cases


SIZES = [
    (1, 1), (3, 2), (7, 1000), (1000, 7), (64, 64), (100, 101), (336, 336), (333, 500), (500, 333), (640, 480), (337, 336)
]
CLIP_336 = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
CONFIGS = {
    "clip-336": (CLIPImageProcessorPil, CLIP_336),
    "clip-224": (CLIPImageProcessorPil, {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}),
    "clip-odd": (
        CLIPImageProcessorPil,
        {"size": {"shortest_edge": 50}, "crop_size": {"height": 33, "width": 70}, "resample": 2},
    ),
    "clip-plain": (CLIPImageProcessorPil, {**CLIP_336, "do_normalize": False, "rescale_factor": 0.01, "resample": 1}),
    "clip-raw": (CLIPImageProcessorPil, {**CLIP_336, "do_rescale": False, "do_resize": False}),
    "no-crop": (CLIPImageProcessorPil, {"size": {"shortest_edge": 28}, "do_center_crop": False}),
    "siglip": (
        SiglipImageProcessorPil,
        {
            "size": {"height": 96, "width": 64},
            "resample": 3,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "do_center_crop": False,
        },
    ),
    "llava-pad": (LlavaImageProcessorPil, {**CLIP_336, "do_pad": True}),
}


def preprocess_goldens():
    cases = []
    for name, (processor_class, options) in CONFIGS.items():
        processor = processor_class(**options)
        written = {k: v for k, v in processor.to_dict().items() if not k.startswith("_")}
        hashes = {}
        for seed, (width, height) in enumerate(SIZES):
            image = Image.fromarray(noise_image(width, height, seed))
            values = processor(image, return_tensors="np")["pixel_values"][0]
            assert values.dtype == np.float32
            if name == "llava-pad":
                original = CLIPImageProcessorPil(**CLIP_336)(expand_to_square(image), return_tensors="np")
                assert np.array_equal(values, original["pixel_values"][0])
            hashes[f"{width}x{height}"] = {"shape": values.shape, "sha256": sha(values)}
        cases.append({"name": name, "config": written, "images": hashes})
    return cases


def expand_to_square(image):
    """What LLaVA-1.5 does before CLIP's processor, by the rule in its paper's code."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(x * 255) for x in CLIPImageProcessorPil.image_mean))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def write_json(name, what, content):
    command = "python scripts/make_image_goldens.py"
    text = json.dumps({"source": f"{what}: {VERSIONS}; {command}", **content}, indent=1)
    (OUT / name).write_text(text + "\n")


if __name__ == "__main__":
    write_files()
    write_json("decode.json", "ImageOps.exif_transpose(image).convert('RGB')", {"files": decode_goldens()})
    write_json("resize.json", "Image.resize", {"cases": resize_goldens()})
    write_json("preprocess.json", "CLIPImageProcessorPil, LlavaImageProcessorPil, SiglipImageProcessorPil", {"cases": preprocess_goldens()})
