"""The networks of noslit in PyTorch, made from the graph text that a model file carries: the competitor in tools/bench.sh and an
independent oracle for the engine. What a PyTorch user would write: standard modules' functions, one torch call per layer."""
import numpy as np
import torch
import torch.nn.functional as F


def parse(text):
    """Nodes of a graph text: dicts with op, name, in_, numbers, const."""
    nodes = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        op, *fields = line.split()
        node = {"op": op, "in": [], "const": None}
        for field in fields:
            key, value = field.split("=", 1)
            if key == "in":
                node["in"] = value.split(",")
            elif key == "name":
                node["name"] = value
            elif key == "const":
                pairs = [(v.split("*") + ["1"])[:2] for v in value.split(",")]
                node["const"] = np.concatenate([np.full(int(n), float(v), np.float32) for v, n in pairs])
            else:
                node[key] = float(value) if "." in value or "e" in value else int(value)
        nodes.append(node)
    return nodes


class GraphNet(torch.nn.Module):
    """weights: name -> array. inputs in the order of the graph's input nodes."""

    def __init__(self, nodes, weights):
        super().__init__()
        self.nodes = nodes
        self.inputs = [n["name"] for n in nodes if n["op"] == "input"]
        self.shapes = {}
        for name, value in weights.items():
            tensor = torch.tensor(np.asarray(value, np.float32))
            key = name.replace(".", "__")
            state = name.endswith((".mean", ".var"))
            self.register_buffer(key, tensor) if state else self.register_parameter(key, torch.nn.Parameter(tensor))
        for node in nodes:
            self.prepare(node)

    def prepare(self, node):
        name, const = node["name"], node["const"]
        if node["op"] == "constant":
            self.register_buffer(name + "__const", torch.tensor(const).reshape(1, node["c"], node.get("h", 1), node["w"]))
        if node["op"] == "resample":
            self.register_buffer(name + "__pos", torch.tensor(const).reshape(-1, node["n_out"]))

    def weight(self, node, what):
        return getattr(self, node["name"] + "__" + what, None)

    def forward(self, *inputs):
        value = dict(zip(self.inputs, inputs))
        for node in self.nodes:
            if node["op"] != "input":
                value[node["name"]] = getattr(self, node["op"])(node, *[value[k] for k in node["in"]])
        return value[self.nodes[-1]["name"]].flatten(1)

    def conv(self, n, x):
        pair = lambda key, default: (n.get(key + "_h", default), n.get(key + "_w", default))
        w, b = self.weight(n, "weight"), self.weight(n, "bias")
        if x.shape[2] == 1 and n.get("kh", 1) == 1 and n.get("pad_h", 0) == 0:
            y = F.conv1d(x.squeeze(2), w.squeeze(2), b, n.get("stride_w", 1), n.get("pad_w", 0), n.get("dil_w", 1))
            return y.unsqueeze(2)
        return F.conv2d(x, w, b, pair("stride", 1), pair("pad", 0), pair("dil", 1))

    def dense(self, n, x):
        return F.linear(x.flatten(1), self.weight(n, "weight"), self.weight(n, "bias"))[:, :, None, None]

    def batchnorm(self, n, x):
        w = [self.weight(n, k) for k in ("mean", "var", "weight", "bias")]
        return F.batch_norm(x, *w, training=self.training, momentum=n.get("rate", 0.1) or 0.1, eps=n.get("eps", 1e-5) or 1e-5)

    def relu(self, n, x):
        return F.relu(x)

    def gelu(self, n, x):
        return F.gelu(x)

    def asinh(self, n, x):
        return torch.asinh(x * n["scale"] if n.get("scale", 1) != 1 else x)

    def maxpool(self, n, x):
        return F.max_pool2d(x, (n["kh"], n["kw"]), (n["stride_h"], n["stride_w"]), (n["pad_h"], n["pad_w"]))

    def gap(self, n, x):
        return x.mean((2, 3), keepdim=True)

    def add(self, n, x, y):
        return x + y

    def concat(self, n, *x):
        return torch.cat([t.expand(x[0].shape[0], -1, -1, -1) for t in x], 1)

    def reshape(self, n, x):
        return x.reshape(x.shape[0], n["c"], n.get("h", 1), n.get("w", 1))

    def dropout(self, n, x):
        return (F.dropout2d if n.get("channel") else F.dropout)(x, n["rate"], self.training)

    def rowmean(self, n, x, v=None):
        return (x if v is None else x * v).mean(3, keepdim=True) * n.get("scale", 1.0)

    def extract(self, n, x, v, q):
        q = q.reshape(q.shape[0], x.shape[1], -1, x.shape[2])  # [n][band][set][row]
        q = q / torch.sqrt((q * q).sum(3, keepdim=True) + 1e-3)
        coverage = (q * q) @ v
        flux = q @ (x * v) / torch.sqrt(coverage + (n.get("eps", 0.01) or 0.01))
        return torch.cat([flux.flatten(1, 2), coverage.flatten(1, 2)], 1).unsqueeze(2)

    def slice(self, n, x):
        first = n.get("first", 0)
        return x[:, first:first + n["c_out"]]

    def resample(self, n, x):
        pos, width = self.weight(n, "pos"), x.shape[3]
        inside = ((pos >= 0) & (pos <= width - 1)).to(x.dtype)
        left = pos.floor().clamp(0, max(width - 2, 0)).long()
        if width == 1:
            return x * inside
        t = (pos - left) * inside
        groups = x.reshape(x.shape[0], left.shape[0], -1, width)
        parts = [groups[:, g].index_select(2, left[g]) * (inside - t)[g] + groups[:, g].index_select(2, left[g] + 1) * t[g]
                 for g in range(left.shape[0])]
        return torch.stack(parts, 1).reshape(x.shape[0], x.shape[1], 1, -1)

    def constant(self, n):
        return self.weight(n, "const")

    def correlate(self, n, x):
        """By FFT: o'[h, j'] = sum_{c,i} W[h,c,i + j'] f[c,i], read backwards."""
        w, length = self.weight(n, "weight"), self.weight(n, "weight").shape[2]
        size = length + (-length) % 16
        key = n["name"] + "__spectrum"  # of the weights: once in EVAL
        if self.training or not hasattr(self, key):
            setattr(self, key, torch.fft.rfft(w if self.training else w.detach(), size))
        spectrum = torch.fft.rfft(x.squeeze(2), size)
        product = torch.einsum("ncf,hcf->nhf", spectrum.conj(), getattr(self, key))
        y = torch.fft.irfft(product, size)[:, :, :n["n_out"]].flip(2)
        return (y + self.weight(n, "bias")).unsqueeze(2)

    def interleave(self, n, x):
        return x.squeeze(2).transpose(1, 2).reshape(x.shape[0], 1, 1, -1)

    def bias(self, n, x):
        return x + self.weight(n, "bias").reshape(1, *x.shape[1:])


def load(folder):
    """A network that bench_nn has described: (module, inputs, noslit's outputs)."""
    weights, at = {}, 0
    flat = np.fromfile(folder + "/weights.f32", np.float32)
    for line in open(folder + "/params.txt"):
        name, *dims = line.split()
        dims = [int(d) for d in dims]
        n = int(np.prod(dims))
        weights[name] = flat[at:at + n].reshape(dims)
        at += n
    nodes = parse(open(folder + "/graph.txt").read())
    net = GraphNet(nodes, weights)
    inputs = []
    for k, node in enumerate(n for n in nodes if n["op"] == "input"):
        shape = [-1, node["c"], node.get("h", 1), node.get("w", 1)]
        inputs.append(torch.from_numpy(np.fromfile(f"{folder}/input{k}.f32", np.float32).reshape(shape)))
    outputs = np.fromfile(folder + "/output.f32", np.float32).reshape(inputs[0].shape[0], -1)
    return net, inputs, outputs


def modes(net, inputs):
    """The ways PyTorch runs a network without gradients: name -> callable."""
    net.eval()
    ways = {"eager": net}
    with torch.inference_mode():
        net(*inputs)  # fills what is cached
        traced = torch.jit.trace(net, tuple(inputs), check_trace=False)
        ways["frozen"] = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    return ways
