"""Writes test/golden/data-sources/easy-vqa/: a few images of easy-VQA with all their questions, as tar archives in the
formats of Python's tarfile, and what tarfile reads from them.

    python scripts/make_easy_vqa_golden.py FOLDER    # the extracted dataset (MIT licence, github.com/vzhou842/easy-VQA)
"""

import io
import json
import sys
import tarfile
from pathlib import Path

IMAGES = {"train": [0, 1, 2, 5, 6, 16], "test": [0, 1]}
OUT = Path(__file__).parent.parent / "test/golden/data-sources/easy-vqa"


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def add_special(archive: tarfile.TarFile, name: str, kind: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "../../etc/passwd" if kind == tarfile.SYMTYPE else ""
    archive.addfile(info)


def subset(source: Path) -> dict[str, bytes]:
    files = {"LICENSE": (source / "LICENSE").read_bytes()}
    for split, numbers in IMAGES.items():
        rows = json.loads((source / split / "questions.json").read_bytes())
        files[f"{split}/questions.json"] = json.dumps([row for row in rows if row[2] in numbers]).encode()
        for number in numbers:
            files[f"{split}/images/{number}.png"] = (source / split / f"images/{number}.png").read_bytes()
    return files


def main(source: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tarfile.open(OUT / "subset.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        add_special(archive, "easy-vqa/", tarfile.DIRTYPE)
        for name, data in subset(source).items():
            add(archive, f"easy-vqa/{name}", data)
    long_name = "/".join(["a-long-folder-name"] * 7) + "/file.txt"
    with tarfile.open(OUT / "names.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, long_name, b"in two parts")
        add(archive, "../outside.txt", b"kept in memory")
        add(archive, "empty", b"")
        add(archive, "twice", b"first")
        add(archive, "twice", b"second")
        add_special(archive, "folder", tarfile.DIRTYPE)
        add_special(archive, "link", tarfile.SYMTYPE)
        add(archive, "block", bytes(range(256)) * 2)
    with tarfile.open(OUT / "names.tar") as archive:
        read = {m.name: archive.extractfile(m).read().hex() for m in archive.getmembers() if m.isfile()}
    golden = {"source": f"Python {sys.version.split()[0]} tarfile; images and questions of easy-VQA (MIT)", "names": read}
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


main(Path(sys.argv[1]))
