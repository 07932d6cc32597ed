import time

from common import answer, job, load, noise, peak, torch

before = peak()
model, milliseconds = load(mmap=job["setup"] == "mmap")
loaded = {"time": milliseconds, "rise": peak() - before}
images = noise(1)
start = time.perf_counter()
with torch.inference_mode():
    logits = model.eval()(images)
milliseconds += (time.perf_counter() - start) * 1000
answer({"loaded": loaded, "used": {"time": milliseconds, "rise": peak() - before}, "index": logits.argmax().item()})
