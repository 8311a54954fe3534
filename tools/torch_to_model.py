#!/usr/bin/env python3
"""Weights between PyTorch and noslit; numpy and h5py are enough, PyTorch need not be installed.

  torch_to_model.py import SRC --out STAGED.h5 [--map FILE]   SRC: .safetensors, .npz, or .pt/.pth of torch.save (a state dict, or a
                                                             checkpoint that has one under state_dict, model_state_dict or model)
  torch_to_model.py export MODEL.h5 --out FILE                FILE: .npz or .safetensors

`noslit model import` and `noslit model export` call it. STAGED.h5 holds the tensors under noslit's names; noslit turns it into a
model file. docs/pytorch.md has the table of names.
"""
import argparse
import collections
import json
import os
import pickle
import re
import struct
import sys
import zipfile

import h5py
import numpy as np

OWN = "noslit:"  # an exported model's other datasets; attributes and texts are under this name alone
PREFIX = re.compile(r"^(module|_orig_mod|model|net|network|feature_extractor|backbone|encoder|resnet|regressor_model)\.")
STAGE = r"layer(\d+)\.(\d+)\."
# Theirs (prefixes taken away) -> ours. {1} is the block, counted from 1 in noslit.
NAMES = [
    (r"conv1\.", lambda m: "stem."),
    (r"bn1\.", lambda m: "stem_bn."),
    (STAGE + r"conv(\d)\.", lambda m: f"s{m[1]}_b{int(m[2]) + 1}_conv{m[3]}."),
    (STAGE + r"bn(\d)\.", lambda m: f"s{m[1]}_b{int(m[2]) + 1}_conv{m[3]}_bn."),
    (STAGE + r"(?:shortcut|downsample)\.0\.", lambda m: f"s{m[1]}_b{int(m[2]) + 1}_short."),
    (STAGE + r"(?:shortcut|downsample)\.1\.", lambda m: f"s{m[1]}_b{int(m[2]) + 1}_short_bn."),
    (r"(?:fc_layers|fc|head|mlp|regressor)\.0\.|fc1\.", lambda m: "fc1."),
    (r"(?:fc_layers|fc|head|mlp|regressor)\.3\.|fc2\.", lambda m: "fc2."),
    (r"(?:mean_head|head_mean|mean|mu|fc_mean|mu_head)\.", lambda m: "out.0."),
    (r"(?:logvar_head|head_logvar|logvar|log_var|fc_logvar|log_var_head)\.", lambda m: "out.1."),
    (r"(?:fc_layers|fc|head|mlp|regressor)\.6\.", lambda m: "out."),
]
TENSORS = {"running_mean": "mean", "running_var": "var", "gamma": "weight", "beta": "bias"}


def die(text):
    sys.exit(f"torch_to_model.py: {text}")


# --- reading -------------------------------------------------------------------------------------------------------------------

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


def from_bf16(raw):
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def read_safetensors(path):
    with open(path, "rb") as f:
        start = f.read(8)
        if len(start) < 8 or (n := struct.unpack("<Q", start)[0]) > os.path.getsize(path) - 8:
            die(f"{path}: is no safetensors file: its header does not fit into the file")
        try:
            header = json.loads(f.read(n))
        except ValueError:
            die(f"{path}: is no safetensors file: its header is not JSON")
        data = f.read()
    own = header.pop("__metadata__", {}).get("noslit")
    out = {}
    for name, h in header.items():
        a, b = h["data_offsets"]
        if not 0 <= a <= b <= len(data):
            die(f"{path}: tensor {name} lies outside the file: it was cut short; get it again")
        if h["dtype"] != "BF16" and h["dtype"] not in TYPES:
            die(f"{path}: tensor {name} has type {h['dtype']}: save it as float32")
        v = from_bf16(data[a:b]) if h["dtype"] == "BF16" else np.frombuffer(data[a:b], TYPES[h["dtype"]])
        out[name] = v.reshape(h["shape"])
    return out, own


class Other:
    """Stands for anything in a pickle that is not a tensor: nothing of it is run."""

    def __init__(self, *args, **kw):
        self.args = args

    def __call__(self, *args, **kw):
        return self

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
            "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?", "BFloat16Storage": "bf16"}


def strided(storage, offset, shape, stride, *rest):
    if any(s < 0 for s in tuple(shape) + tuple(stride)) or offset < 0:
        raise ValueError("a tensor of negative size")
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride)) if all(shape) else -1
    if last >= len(storage):
        raise ValueError("a tensor outside its storage")
    item = storage.itemsize
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(shape), tuple(s * item for s in stride)).copy()


class Unpickler(pickle.Unpickler):
    """Tensors become numpy arrays; classes that are not on this list are not looked up, so that no code of the file is run."""

    def __init__(self, f, archive, root):
        super().__init__(f, encoding="utf-8")
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return strided
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda data, *rest: data
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return Other

    def persistent_load(self, key):
        kind, dtype, name = key[0], key[1], key[2]
        if kind != "storage" or not isinstance(dtype, str):
            raise ValueError(f"an unknown kind of storage {key[:2]}")
        raw = self.archive.read(f"{self.root}/data/{name}")
        return from_bf16(raw) if dtype == "bf16" else np.frombuffer(raw, dtype)


def read_torch(path):
    if not zipfile.is_zipfile(path):
        die(f"{path}: is no file of torch.save (PyTorch 1.6 or later): load it and save its state_dict() again, or as safetensors")
    with zipfile.ZipFile(path) as z:
        inside = [n for n in z.namelist() if n.endswith("/data.pkl") or n == "data.pkl"]
        if len(inside) != 1:
            die(f"{path}: holds no state dict (no data.pkl): a TorchScript file? save model.state_dict() instead")
        try:
            top = Unpickler(z.open(inside[0]), z, inside[0].rpartition("/")[0]).load()
        except (ValueError, KeyError, pickle.UnpicklingError, TypeError, AttributeError, EOFError) as e:
            die(f"{path}: cannot be read ({e}): load it in PyTorch and save model.state_dict()")
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(top, dict) and isinstance(top.get(key), dict):
            top = top[key]
    if not isinstance(top, dict):
        die(f"{path}: holds a whole model, not its weights: save model.state_dict()")
    return {k: v for k, v in top.items() if isinstance(v, np.ndarray)}, None


def read_npz(path):
    with np.load(path, allow_pickle=False) as z:
        out = {k: z[k] for k in z.files}
    own = out.pop(OWN, None)
    return out, None if own is None else str(own)


def read_weights(path):
    if not os.path.isfile(path):
        die(f"{path}: no such file")
    end = os.path.splitext(path)[1].lower()
    readers = {".safetensors": read_safetensors, ".npz": read_npz, ".pt": read_torch, ".pth": read_torch, ".ckpt": read_torch,
               ".bin": read_torch}
    if end not in readers:
        die(f"{path}: give a file that ends in {', '.join(sorted(readers))}")
    tensors, own = readers[end](path)
    if not tensors:
        die(f"{path}: holds no tensor")
    return tensors, own


# --- names ---------------------------------------------------------------------------------------------------------------------


def read_map(path):
    pairs = {}
    for number, line in enumerate(open(path), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            die(f"{path}:{number}: give two words, the name in the file and noslit's ('-' to leave it out)")
        pairs[words[0]] = words[1]
    return pairs


def our_name(name, pairs, foreign):
    """Their full name -> ours ('out.0.weight': row 0 of out.weight), None to leave the tensor out. foreign 0: a noslit export."""
    if name in pairs:
        return None if pairs[name] == "-" else pairs[name]
    if name.endswith("num_batches_tracked"):
        return None
    short = name
    while foreign and PREFIX.match(short):
        short = PREFIX.sub("", short)
    stem, _, tensor = short.rpartition(".")
    tensor = TENSORS.get(tensor, tensor)
    for pattern, ours in NAMES if foreign else []:
        m = re.fullmatch(pattern, stem + ".")
        if m:
            return ours(m) + tensor
    return f"{stem}.{tensor}" if stem else tensor  # noslit's own names


def rename(tensors, pairs, foreign, path):
    out, rows = {}, collections.defaultdict(dict)
    for name, v in tensors.items():
        ours = our_name(name, pairs, foreign)
        if ours is None:
            continue
        m = re.fullmatch(r"out\.([01])\.(weight|bias)", ours)
        if m and foreign:
            rows[f"out.{m[2]}"][int(m[1])] = v
            continue
        if ours in out:
            die(f"{path}: two tensors for {ours}, one is {name}: leave one out by --map")
        out[ours] = v
    for name, parts in rows.items():
        if sorted(parts) != [0, 1]:
            die(f"{path}: {name} has {'the mean' if 0 in parts else 'logvar'} only: the other head is missing")
        out[name] = np.concatenate([parts[0], parts[1]])
    return out


def paper_names(ours):
    """noslit's ResNet -> names of the paper's PyTorch class; a tensor may be two of theirs (rows of the output layer)."""
    for pattern, theirs in [(r"stem\.(.*)", r"feature_extractor.conv1.\1"), (r"stem_bn\.(.*)", r"feature_extractor.bn1.\1"),
                            (r"s(\d)_b(\d+)_conv(\d)\.(.*)", r"feature_extractor.layer\1.{b}.conv\3.\4"),
                            (r"s(\d)_b(\d+)_conv(\d)_bn\.(.*)", r"feature_extractor.layer\1.{b}.bn\3.\4"),
                            (r"s(\d)_b(\d+)_short\.(.*)", r"feature_extractor.layer\1.{b}.shortcut.0.\3"),
                            (r"s(\d)_b(\d+)_short_bn\.(.*)", r"feature_extractor.layer\1.{b}.shortcut.1.\3"),
                            (r"fc1\.(.*)", r"fc_layers.0.\1"), (r"fc2\.(.*)", r"fc_layers.3.\1")]:
        m = re.fullmatch(pattern, ours)
        if m:
            return [m.expand(theirs).replace("{b}", str(int(m[2]) - 1) if "_b" in ours[:4] else "")]
    m = re.fullmatch(r"out\.(weight|bias)", ours)
    return [f"mean_head.{m[1]}", f"logvar_head.{m[1]}"] if m else [ours]


# --- import and export ---------------------------------------------------------------------------------------------------------


def import_weights(a):
    tensors, own = read_weights(a.file)
    rest = {k[len(OWN):]: tensors.pop(k) for k in [k for k in tensors if k.startswith(OWN)]}
    own = json.loads(own) if own else {"attributes": {}, "texts": {}, "names": "pytorch"}
    out = rename(tensors, read_map(a.map) if a.map else {}, own["names"] == "pytorch", a.file)
    with h5py.File(a.out, "w") as f:
        for name, v in out.items():
            if v.dtype.kind != "f":
                die(f"{a.file}: tensor {name} has type {v.dtype}, not a floating point one: leave it out by --map")
            f["weights/" + name] = np.ascontiguousarray(v, "<f4")
        for name, v in rest.items():
            f[name] = v
        for key, v in own["attributes"].items():
            f.attrs[key] = np.int64(v) if isinstance(v, int) else v
        for name, text in own["texts"].items():
            f[name] = np.frombuffer(text.encode(), "u1")


def plain(v):
    return v.decode() if isinstance(v, bytes) else v.item() if hasattr(v, "item") else v


def export_model(a):
    tensors, own = {}, {"attributes": {}, "texts": {}}
    with h5py.File(a.file) as f:
        if plain(f.attrs.get("format", b"")) != "noslit-model":
            die(f"{a.file}: is no model file of noslit")
        own["attributes"] = {k: plain(v) for k, v in f.attrs.items() if k != "content_hash"}
        weights = {k: v[...] for k, v in f["weights"].items()}
        is_resnet = "s4_b3_conv2.weight" in weights and weights.get("out.weight", np.zeros(1)).shape[0] == 2
        own["names"] = "pytorch" if is_resnet else "noslit"
        norms = {k.rsplit(".", 1)[0] for k in weights if k.endswith(".var")}
        for name, v in weights.items():
            node, tensor = name.rsplit(".", 1)
            theirs = {"mean": "running_mean", "var": "running_var"}.get(tensor, tensor) if node in norms else tensor
            for row, full in enumerate(paper_names(f"{node}.{theirs}") if is_resnet else [f"{node}.{theirs}"]):
                tensors[full] = v[row:row + 1] if is_resnet and node == "out" else v
                if tensor == "var":
                    tensors[full.replace("running_var", "num_batches_tracked")] = np.int64(0).reshape(())
        others = []
        f.visititems(lambda n, d: others.append(n) if isinstance(d, h5py.Dataset) and not n.startswith("weights/") else None)
        for n in others:
            if f[n].dtype == np.uint8:
                own["texts"]["/" + n] = f[n][...].tobytes().decode()
            else:
                tensors[OWN + "/" + n] = f[n][...]
    text = json.dumps(own)
    if a.out.endswith(".npz"):
        with open(a.temp, "wb") as f:
            np.savez(f, **tensors, **{OWN: np.array(text)})
    else:
        write_safetensors(a.temp, tensors, {"noslit": text})
    os.replace(a.temp, a.out)


def write_safetensors(path, tensors, metadata):
    words = {np.dtype(v): k for k, v in TYPES.items()}
    header, at = {"__metadata__": metadata}, 0
    for name, v in tensors.items():
        header[name] = {"dtype": words[v.dtype], "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for v in tensors.values():
            f.write(np.ascontiguousarray(v).tobytes())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("import", "export"))
    p.add_argument("file")
    p.add_argument("--out", required=True)
    p.add_argument("--map")
    a = p.parse_args()
    a.temp = os.path.join(os.path.dirname(a.out), f".{os.path.basename(a.out)}.tmp.{os.getpid()}")
    try:
        if a.what == "export" and not a.out.endswith((".npz", ".safetensors")):
            die(f"--out {a.out}: give a name that ends in .npz or .safetensors")
        import_weights(a) if a.what == "import" else export_model(a)
    except OSError as e:
        die(str(e))
    finally:
        if os.path.exists(a.temp):
            os.remove(a.temp)


main()
