"""Python's half of the protocol: see peers/serve.ts. A job as JSON in argv, then, where a work is served, one request a
line on stdin and one answer on stdout."""

import json
import os
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[3] / "test/reference"))
import torch  # noqa: E402

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
device = job.get("device", "cpu")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever else prints goes to stderr


def answer(value):
    print(json.dumps(value), file=answers, flush=True)


def requests():
    for line in sys.stdin:
        yield json.loads(line)["count"]


def peak():
    """Returns the largest resident size so far, in MiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def network(num_classes=1000):
    import stubs

    return getattr(stubs.torchvision_models(), job["network"])(num_classes=num_classes)


def load(mmap=False):
    """Returns the network with its weights, and how many ms it took to load them."""
    model = network()
    start = time.perf_counter()
    state = torch.load(job["weights"], weights_only=True, mmap=mmap)
    model.load_state_dict(state, assign=mmap)
    return model, (time.perf_counter() - start) * 1000


def noise(count):
    shape = (count, 3, job["size"], job["size"])
    return torch.from_file(job["noise"], size=count * 3 * job["size"] ** 2).view(shape).clone()


def evaluation():
    from torchvision import transforms as T

    return T.Compose([T.Resize(256), T.CenterCrop(224), *to_input()])


def to_input():
    from torchvision import transforms as T

    return [T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


def trainer(model):
    """Makes a step of SGD with momentum and returns the loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=job["setup"] != "stock")
    model.train()

    def step(images, labels):
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=job["dtype"] == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def memory_format():
    return torch.contiguous_format if job["setup"] == "stock" else torch.channels_last


def serve(step, clock=time.perf_counter, read=lambda output: output):
    """Answers each request with the times of so many steps in ms. `read` turns the last result into a list, outside of the measurement."""
    answer({})
    for count in requests():
        times = []
        for _ in range(count):
            begin = clock()
            output = step()
            times.append((clock() - begin) * 1000)
        answer({"times": times, "output": read(output), "peak": peak()})
