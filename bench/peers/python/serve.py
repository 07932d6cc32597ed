"""FastAPI with one uvicorn worker, or LitServe with batches, depending on the setup."""

import io
import os
import signal
import socket
import sys
import threading
import time

from common import answer, evaluation, job, load, torch
import stubs  # noqa: F401, E402 (before torchvision)
from PIL import Image

to_tensor = evaluation()


def read(file):
    return to_tensor(Image.open(io.BytesIO(file)).convert("RGB"))


def run_fastapi(port):
    import uvicorn
    from fastapi import FastAPI, File

    model = load()[0].eval()
    app = FastAPI()

    @app.post("/predict")
    async def predict(image: bytes = File()):
        with torch.inference_mode():
            return {"index": model(read(image)[None]).argmax().item()}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def run_litserve(port):
    api = Classifier(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False
    )


if job["setup"] == "litserve":
    import litserve
    from fastapi import Request

    class Classifier(litserve.LitAPI):
        """Runs in a process of its own, which imports this file again."""

        def setup(self, device):
            self.model = load()[0].eval()

        def decode_request(self, request: Request):
            return read(request["image"].file.read())

        def batch(self, inputs):
            return torch.stack(inputs)

        def predict(self, images):
            with torch.inference_mode():
                return self.model(images).argmax(1).tolist()

        def unbatch(self, output):
            return output

        def encode_response(self, output):
            return {"index": output}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tell_and_wait(port):
    while not is_open(port):
        time.sleep(0.05)
    answer({"port": port})
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    free = free_port()
    threading.Thread(target=tell_and_wait, args=(free,), daemon=True).start()
    {"fastapi": run_fastapi, "litserve": run_litserve}[job["setup"]](free)
