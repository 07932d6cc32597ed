from common import job, load, memory_format, noise, serve, torch

dtype = getattr(torch, job["dtype"])
model, _ = load()
model = model.eval().to(memory_format=memory_format()).to(dtype)
images = noise(job["batch"]).contiguous(memory_format=memory_format()).to(dtype)
if job["setup"] == "compile":
    from torch._inductor import config

    config.freezing = True
    model = torch.compile(model)


def step():
    with torch.no_grad():
        return model(images).float().flatten().tolist()


serve(step)
