from common import device, job, load, memory_format, noise, serve, torch

dtype = getattr(torch, job["dtype"])
model, _ = load()
model = model.eval().to(device, memory_format=memory_format()).to(dtype)
images = noise(job["batch"]).contiguous(memory_format=memory_format()).to(dtype)
if job["setup"] == "compile":
    if device == "cpu":
        from torch._inductor import config

        config.freezing = True
        model = torch.compile(model)
    else:
        images = images.pin_memory()
        model = torch.compile(model, mode="reduce-overhead")


def step():
    with torch.no_grad():
        # On a GPU, the copies there and back are part of a call, as they are for visiontorch.
        return model(images.to(device, non_blocking=True)).float().cpu()


serve(step, read=lambda logits: logits.flatten().tolist())
