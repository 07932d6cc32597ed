"""Writes test/fixtures/image-folder.json: the classes and samples that torchvision's ImageFolder finds in awkward folders.

Needs torchvision, but not its compiled operators, so a torchvision that was built for another torch works, too.
"""

import json
import pathlib
import sys
import tempfile
import types

sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
import torchvision  # noqa: E402
from torchvision.datasets import ImageFolder  # noqa: E402

FILES = [
    "b/2.jpg", "b/10.jpg", "b/1.JPEG", "b/notes.txt", "b/.more/3.jpg",
    "B/image 1.png", "B/ü.png", "B/z;1.PNG", "B/é.tiff", "B/e\u0301.tiff",
    "a b/nested/1.jpg", "a b/nested-more/1.jpg", "a b/nested/deep/er/1.webp", "a b/0.jpg", "a b/no-extension",
    "ß/1.tif", "ｚ/1.jpg", "😀/1.jpg", "10/1.jpg", "9/1.jpg", "a-b/1.jpg", "a_b/1.jpg", "Zebra/1.jpg",
    "😀/ｚ.jpg", "😀/😀.jpg", "😀/a.jpg", "linked/target-is/1.jpg",
]  # fmt: skip

with tempfile.TemporaryDirectory() as root:
    for name in FILES:
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    # A link to a folder of images outside the class is walked as well.
    pathlib.Path(root, "linked", "link").symlink_to(pathlib.Path(root, "b"), target_is_directory=True)
    found = ImageFolder(root)
    samples = [[str(pathlib.Path(path).relative_to(root)), label] for path, label in found.samples]
    # torchvision also includes hidden folders and files, which visiontorch leaves out.
    samples = [[path, label] for path, label in samples if "/." not in path]

path = pathlib.Path(__file__).parent.parent / "fixtures" / "image-folder.json"
content = {
    "made_by": f"torchvision {torchvision.__version__.split('+')[0]}",
    "files": FILES,
    "links": {"linked/link": "b"},
    "classes": found.classes,
    "samples": samples,
}
path.write_text(json.dumps(content, ensure_ascii=True, indent=1) + "\n")
