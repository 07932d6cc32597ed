"""PyTorch's side of the benchmark: a job as JSON in argv, then one request a line on stdin and one answer on stdout."""

import json
import os
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[2] / "test/reference"))
import torch  # noqa: E402

job = json.loads(sys.argv[1])
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever else prints goes to stderr


def answer(value):
    print(json.dumps(value), file=answers, flush=True)


def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def network():
    import stubs

    return getattr(stubs.torchvision_models(), job["network"])(num_classes=1000)


def prepare():
    """Weights, inputs, a photograph's stand-in and the ONNX graph, once."""
    folder = pathlib.Path(job["folder"])
    torch.manual_seed(0)
    model = network().eval()
    torch.save(model.state_dict(), folder / f"{job['network']}.pth")
    torch.save(model.state_dict(), folder / f"{job['network']}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.randn(32, 3, 224, 224).numpy().tofile(folder / "images.f32")
    from PIL import Image

    noise = (torch.rand(12, 16, 3) * 255).byte().numpy()
    Image.fromarray(noise).resize((640, 480), Image.BICUBIC).save(folder / "photo.jpg")
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 224, 224),),
        str(folder / f"{job['network']}.onnx"),
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
        dynamo=False,
    )
    answer({})


def load(mmap=False):
    model = network()
    start = time.perf_counter()
    state = torch.load(job["weights"], weights_only=True, mmap=mmap)
    model.load_state_dict(state, assign=mmap)
    return model, (time.perf_counter() - start) * 1000


def start():
    from PIL import Image

    model, _ = load()
    from torchvision import transforms as T

    transform = T.Compose(
        [T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    with torch.inference_mode():
        logits = model.eval()(transform(Image.open(job["image"]).convert("RGB"))[None])
    answer({"index": logits.argmax().item()})


def serve():
    torch.set_num_threads(job["threads"])
    format = torch.contiguous_format if job["setup"] == "stock" else torch.channels_last
    dtype = getattr(torch, job["dtype"])
    model, _ = load()
    model = model.to(memory_format=format)
    images = torch.from_file(job["images"], size=job["batch"] * 3 * 224 * 224).view(-1, 3, 224, 224)
    images = images.clone().contiguous(memory_format=format)
    if job["work"] == "training":
        labels = torch.arange(job["batch"])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=job["setup"] != "stock")
        model.train()

        def step():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            return [loss.item()]
    else:
        model, images = model.eval().to(dtype), images.to(dtype)
        if job["setup"] == "compile":
            from torch._inductor import config

            config.freezing = True
            model = torch.compile(model)

        def step():
            with torch.no_grad():
                return model(images).float().flatten().tolist()

    answer({})
    for line in sys.stdin:
        count = json.loads(line)["count"]
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            output = step()
            times.append((time.perf_counter() - begin) * 1000)
        answer({"times": times, "output": output, "peak": peak()})


if __name__ == "__main__":
    if job["work"] == "loading":
        torch.set_num_threads(job["threads"])
        milliseconds = load(mmap=job["setup"] == "mmap")[1]
        answer({"time": milliseconds, "peak": peak()})
    else:
        {"prepare": prepare, "start": start}.get(job["work"], serve)()
