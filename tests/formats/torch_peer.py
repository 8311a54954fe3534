"""A ResNet-34 with the paper's head in numpy and in PyTorch, to compare noslit's with: torch_peer.py WHAT DIR."""
import json
import struct
import sys

import h5py
import numpy as np

BLOCKS = (3, 4, 6, 3)


def blocks():
    for stage, n in enumerate(BLOCKS, 1):
        for b in range(n):
            yield stage, b, 2 if stage > 1 and b == 0 else 1, stage > 1 and b == 0


def random_weights(width, seed):
    """Under the names of the paper's class."""
    r = np.random.default_rng(seed)
    w = {}

    def conv(name, co, ci, k):
        w[name + ".weight"] = r.normal(0, np.sqrt(2 / (ci * k * k)), (co, ci, k, k)).astype("f4")

    def norm(name, c):
        w[name + ".weight"] = r.uniform(0.6, 1.2, c).astype("f4")
        w[name + ".bias"] = r.normal(0, 0.2, c).astype("f4")
        w[name + ".running_mean"] = r.normal(0, 0.3, c).astype("f4")
        w[name + ".running_var"] = r.uniform(0.5, 2, c).astype("f4")
        w[name + ".num_batches_tracked"] = np.array(7, "i8")

    p = "feature_extractor."
    conv(p + "conv1", width, 2, 7)
    norm(p + "bn1", width)
    w[p + "bn1.running_var"] *= 3000  # electrons
    for s, b, stride, short in blocks():
        co, name = width << (s - 1), f"{p}layer{s}.{b}."
        ci = co // 2 if short else co
        conv(name + "conv1", co, ci, 3)
        norm(name + "bn1", co)
        conv(name + "conv2", co, co, 3)
        norm(name + "bn2", co)
        if short:
            conv(name + "shortcut.0", co, ci, 1)
            norm(name + "shortcut.1", co)
    for name, co, ci in (("fc_layers.0", 4, 8), ("fc_layers.3", 2, 4), ("mean_head", 0, 2), ("logvar_head", 0, 2)):
        rows = co * width or 1
        w[name + ".weight"] = r.normal(0, 1 / np.sqrt(ci * width), (rows, ci * width)).astype("f4")
        w[name + ".bias"] = r.normal(0, 0.3, rows).astype("f4")
    return w


def write_safetensors(path, w):
    header, at, words = {}, 0, {"f": "F32", "i": "I64"}
    for k, v in w.items():
        header[k] = {"dtype": words[v.dtype.kind], "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in w.values()))


# --- in numpy, float64 ---


def conv2d(x, w, stride, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k = w.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, w.astype("f8"), ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def erf(x):
    from math import erf as one
    return np.vectorize(one)(x)


def forward(w, x):
    """Outputs of the layers by noslit's names."""
    out, p = {}, "feature_extractor."

    def keep(name, v):
        out[name] = v
        return v

    def norm(name, v):
        a = w[name + ".weight"] / np.sqrt(w[name + ".running_var"].astype("f8") + 1e-5)
        return v * a[:, None, None] + (w[name + ".bias"] - a * w[name + ".running_mean"])[:, None, None]

    x = keep("stem", conv2d(x, w[p + "conv1.weight"], 2, 3))
    x = keep("stem_relu", np.maximum(keep("stem_bn", norm(p + "bn1", x)), 0))
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = keep("pool", np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((4, 5)))
    for s, b, stride, short in blocks():
        name, ours = f"{p}layer{s}.{b}.", f"s{s}_b{b + 1}_"
        y = keep(ours + "conv1", conv2d(x, w[name + "conv1.weight"], stride, 1))
        y = np.maximum(keep(ours + "conv1_bn", norm(name + "bn1", y)), 0)
        y = keep(ours + "conv2", conv2d(y, w[name + "conv2.weight"], 1, 1))
        y = keep(ours + "conv2_bn", norm(name + "bn2", y))
        if short:
            x = norm(name + "shortcut.1", keep(ours + "short", conv2d(x, w[name + "shortcut.0.weight"], stride, 0)))
        x = keep(ours + "add_relu", np.maximum(keep(ours + "add", x + y), 0))
    x = keep("gap", x.mean((2, 3)))
    for k, name in ((1, "fc_layers.0"), (2, "fc_layers.3")):
        x = keep(f"fc{k}", x @ w[name + ".weight"].T.astype("f8") + w[name + ".bias"])
        x = keep(f"fc{k}_gelu", 0.5 * x * (1 + erf(x / np.sqrt(2))))
    keep("out", np.concatenate([x @ w[h + ".weight"].T.astype("f8") + w[h + ".bias"] for h in ("mean_head", "logvar_head")], 1))
    return out


# --- in PyTorch ---


def torch_net(width):
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, ci, co, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(ci, co, 3, stride, 1, bias=False), nn.BatchNorm2d(co)
            self.conv2, self.bn2 = nn.Conv2d(co, co, 3, 1, 1, bias=False), nn.BatchNorm2d(co)
            self.shortcut = nn.Sequential()
            if stride != 1:
                self.shortcut = nn.Sequential(nn.Conv2d(ci, co, 1, stride, bias=False), nn.BatchNorm2d(co))

        def forward(self, x):
            return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))

    class Trunk(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(2, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            stages = {1: [], 2: [], 3: [], 4: []}
            for s, b, stride, short in blocks():
                co = width << (s - 1)
                stages[s].append(Block(co // 2 if short else co, co, stride))
            for s in stages:
                setattr(self, f"layer{s}", nn.Sequential(*stages[s]))

        def forward(self, x):
            x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
            for s in range(1, 5):
                x = getattr(self, f"layer{s}")(x)
            return x.mean((2, 3))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.feature_extractor = Trunk()
            self.fc_layers = nn.ModuleList([nn.Linear(8 * width, 4 * width), nn.GELU(), nn.Dropout(0.1),
                                            nn.Linear(4 * width, 2 * width), nn.GELU(), nn.Dropout(0.1)])
            self.mean_head, self.logvar_head = nn.Linear(2 * width, 1), nn.Linear(2 * width, 1)

        def forward(self, x):
            x = self.feature_extractor(x)
            for layer in self.fc_layers:
                x = layer(x)
            return torch.cat([self.mean_head(x), self.logvar_head(x)], 1)

    return Net()


def torch_layers(net, x):
    import torch
    names, out = {"feature_extractor.conv1": "stem", "feature_extractor.bn1": "stem_bn", "feature_extractor.maxpool": "pool",
                  "feature_extractor": "gap", "fc_layers.0": "fc1", "fc_layers.1": "fc1_gelu", "fc_layers.3": "fc2",
                  "fc_layers.4": "fc2_gelu"}, {}
    for s, b, _, short in blocks():
        t, o = f"feature_extractor.layer{s}.{b}", f"s{s}_b{b + 1}_"
        names.update({t: o + "add_relu", t + ".conv1": o + "conv1", t + ".bn1": o + "conv1_bn", t + ".conv2": o + "conv2",
                      t + ".bn2": o + "conv2_bn"})
        if short:
            names.update({t + ".shortcut.0": o + "short", t + ".shortcut.1": o + "short_bn"})
    for name, module in net.named_modules():
        if name in names:
            module.register_forward_hook(lambda m, i, v, k=names[name]: out.__setitem__(k, v.detach().numpy()))
    net.eval()
    with torch.no_grad():
        out["out"] = net(torch.from_numpy(x)).numpy()
    return out


def train_a_little(net, x, z):
    import torch
    net.train()
    opt = torch.optim.AdamW(net.parameters(), 1e-3)
    for _ in range(6):
        out = net(torch.from_numpy(x))
        logvar = out[:, 1].clamp(-10, 10)
        loss = 0.5 * (logvar + torch.exp(-logvar) * (torch.from_numpy(z) - out[:, 0]) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


# --- comparison: relative to the layer's largest number ---


def compare(theirs, path):
    worst = 0
    with h5py.File(path) as f:
        for name, want in theirs.items():
            got = f["layers/" + name][...].reshape(want.shape)
            error = np.abs(got - want).max() / np.abs(want).max()
            worst = max(worst, error)
            assert error < 1e-4, f"layer {name} differs by {error:.2e} of its largest number"
        error = np.abs(f["output"][...] - theirs["out"]) / np.abs(theirs["out"])
        assert error.max() < 1e-4, f"the inference network's output differs by {error.max():.2e}"
    print(f"{path}: {len(theirs)} layers agree to {worst:.1e}, the inference network's output to {error.max():.1e}")


def input_of(path):
    with h5py.File(path) as f:
        return f["layers/x"][...]


def main():
    what, d = sys.argv[1], sys.argv[2]
    if what == "make":
        w = random_weights(4, 1)
        write_safetensors(f"{d}/paper.safetensors", w)
        np.savez(f"{d}/vision.npz", **{"module." + k.replace("feature_extractor.", "").replace("shortcut", "downsample"): v
                                       for k, v in w.items()})
        np.savez(f"{d}/odd.npz", **{k.replace("feature_extractor.conv1", "first"): v for k, v in w.items()})
        np.savez(f"{d}/lacking.npz", **{k: v for k, v in w.items() if k != "feature_extractor.layer3.2.bn1.weight"})
    elif what == "numpy":
        compare(forward(random_weights(4, 1), input_of(f"{d}/layers.h5").astype("f8")), f"{d}/layers.h5")
    elif what == "exported":
        w = random_weights(4, 1)
        with np.load(f"{d}/paper.npz") as z:
            for k, v in w.items():
                assert z[k].shape == v.shape, k
                assert k.endswith("num_batches_tracked") or (z[k].dtype == v.dtype and np.array_equal(z[k], v)), k
    elif what == "torch_make":
        import torch
        torch.manual_seed(1)
        torch.set_num_threads(1)
        x, z = input_of(f"{d}/layers.h5"), np.linspace(0.1, 1, len(input_of(f"{d}/layers.h5")), dtype="f4")
        for name, width in (("random", 64), ("trained", 16)):
            net = torch_net(width)
            if name == "trained":
                train_a_little(net, x, z)
                torch.save({"epoch": 3, "state_dict": net.state_dict()}, f"{d}/{name}.pth")
            else:
                torch.save(net.state_dict(), f"{d}/{name}.pth")
            np.savez(f"{d}/{name}_layers.npz", **torch_layers(net, x))
    elif what == "torch_compare":
        for name in ("random", "trained"):
            with np.load(f"{d}/{name}_layers.npz") as z:
                compare({k: z[k] for k in z.files}, f"{d}/{name}_layers.h5")
    elif what == "torch_load":
        import torch
        with np.load(f"{d}/trained.npz") as z:
            state = {k: torch.from_numpy(z[k]) for k in z.files if not k.startswith("noslit:")}
        net = torch_net(16)
        net.load_state_dict(state)
        saved = torch.load(f"{d}/trained.pth")["state_dict"]
        assert all(torch.equal(v, saved[k]) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked"))


main()
