"""Fixtures for test/parity/hub-parquet.test.ts: Parquet files with images, written by the library `datasets`.

    pip install datasets Pillow
    python test/reference/hub_parquet.py test/fixtures/hub

Writes one file per kind of compression, and expected.json: the label of each row, and the SHA-256 of the RGB that Pillow decodes.
"""

import hashlib
import io
import json
import os
import random
import sys

import datasets
from PIL import Image
from pyarrow import parquet

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random.seed(0)
names = ["tabby cat", "beagle", "ünknown, bird"]
rows = []
for i in range(7):
    file = io.BytesIO()
    image = Image.frombytes("RGB", (9 + i, 8), random.randbytes((9 + i) * 8 * 3))
    image.save(file, "PNG" if i % 2 else "JPEG")
    rows.append({"image": {"bytes": file.getvalue(), "path": f"photos/{i}.img"}, "label": i % 3})
features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
data = datasets.Dataset.from_list(rows, features=features)
path = os.path.join(folder, "default.parquet")
data.to_parquet(path, batch_size=3)
table = parquet.read_table(path)
for compression in ["snappy", "gzip", "brotli", "zstd", "none"]:
    parquet.write_table(table, os.path.join(folder, f"{compression}.parquet"), compression=compression, row_group_size=3)
expected = [
    {"label": names[row["label"]], "rgb": hashlib.sha256(row["image"].convert("RGB").tobytes()).hexdigest()} for row in data
]
with open(os.path.join(folder, "expected.json"), "w") as file:
    json.dump(expected, file, indent=2, ensure_ascii=False)
    file.write("\n")
