#!/usr/bin/env python3
"""The measurements of tools/bench.sh. Every number is a ratio of two things measured in turns in one run; CPU seconds on one thread
where one process computes, wall seconds where a disk or several ranks are in it. A key that cannot be measured is null, with the
reason under "why".   bench.py --build DIR --source DIR --work DIR [--json] [--only KEY,...] [--repeats N]
A name after --only is a key or a part (nn io train merge job): of a part only what the keys named need is run."""
import argparse
import glob
import json
import os
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer"))
KEYS = """resnet34_vs_torch default_vs_torch resnet34_of_sgemm_peak mc128_overhead_resnet34 mc128_overhead_default mc_vs_paper_script
train_vs_torch train_2ranks_vs_1 cutout_mb_cold cutout_s_cold cutout_s_warm cutout_vs_best_cold cutout_vs_best_warm merge_vs_files
job_2workers_vs_1 tile_vs_python galaxies_per_s_core resnet34_error default_error merge_mb_per_s merge_rank_mb
merge_cpu_ms_per_source catalogue_bytes_per_source catalogue_vs_float32""".split()


class Results:
    def __init__(self, wanted):
        self.values, self.why, self.spread, self.wanted = {k: None for k in KEYS}, {}, {}, set(wanted)

    def wants(self, keys):
        return not self.wanted.isdisjoint(keys.split())

    def put(self, key, samples):
        """The median, and half the distance between the quartiles as its spread."""
        samples = sorted(samples)
        self.values[key] = float(f"{statistics.median(samples):.4g}")
        if len(samples) > 2:
            q = statistics.quantiles(samples, n=4)
            self.spread[key] = float(f"{(q[2] - q[0]) / 2:.2g}")
        self.why.pop(key, None)
        print(f"  {key:28s} {self.values[key]:10.4g} +- {self.spread.get(key, 0):.2g}", file=sys.stderr, flush=True)

    def cannot(self, keys, reason):
        for key in keys.split():
            if self.values[key] is None and key not in self.why:
                self.why[key] = reason
                print(f"  {key:28s} not measured: {reason}", file=sys.stderr, flush=True)


class Servant:
    """A bench_* program that answers a line with a line."""

    def __init__(self, path, greets=False):
        env = dict(os.environ, OPENBLAS_NUM_THREADS="1")
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.greeting = self.p.stdout.readline().strip() if greets else ""

    def ask(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline().split()
        if not answer:
            raise RuntimeError(f"{self.p.args[0]} gave up on: {words}")
        return [float(a) for a in answer] if answer[0][0].isdigit() else answer

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def cpu_of(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def turns(repeats, **ways):
    """CPU seconds of each way, in turns; a way is a function that returns its seconds. The first turn warms up."""
    times = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            seconds = way()
            if turn:
                times[name].append(seconds)
    return times


def ratio(a, b):
    return [x / y for x, y in zip(a, b)]


NET_KEYS = {
    "resnet34": "resnet34_vs_torch resnet34_of_sgemm_peak mc128_overhead_resnet34 mc_vs_paper_script resnet34_error",
    "default": "default_vs_torch mc128_overhead_default mc_vs_paper_script default_error",
}


def bench_nn(args, r):
    servant = Servant(args.build + "/tests/bench_nn", greets=True)
    torch = None
    try:
        import torch
        import graph_torch
        torch.set_num_threads(1)
    except ImportError as e:
        r.cannot("resnet34_vs_torch default_vs_torch mc_vs_paper_script train_vs_torch", f"no PyTorch in {sys.executable} ({e})")
    script = []
    for what, batch, name in (("resnet34", 16, "resnet34"), ("eq", 512, "default")):
        if not r.wants(NET_KEYS[name]):
            continue
        folder = f"{args.work}/nn_{what}"
        os.makedirs(folder, exist_ok=True)
        if what == "eq":
            write_default_weights(args, folder)
        macs = servant.ask("net", what, batch, folder)[0]
        r.put(name + "_error", servant.ask("reference"))
        forward = lambda: servant.ask("forward")[0]
        ways = {"noslit": forward, "sampled": lambda: servant.ask("sample", 128)[0]}
        if what == "resnet34":
            ways["sgemm"] = lambda: 2e-9 * 1024**3 / servant.ask("sgemm", 1024)[0]
        if torch:
            net, inputs, outputs = graph_torch.load(folder)
            with torch.inference_mode():
                found = {}
                for mode, run in graph_torch.modes(net, inputs).items():
                    found[mode] = run(*inputs).numpy()
                    ways["torch " + mode] = lambda run=run: cpu_of(lambda: run(*inputs))
                for mode, y in found.items():
                    error = abs(y.reshape(outputs.shape) - outputs).max() / (outputs - outputs.mean(0)).std()
                    print(f"  {name}: noslit and torch {mode} differ by {error:.2g} of the spread", file=sys.stderr)
                    if not error < 1e-3:
                        raise RuntimeError(f"{name}: noslit and torch {mode} do not compute the same ({error:.3g} of the spread)")
                t = turns(args.repeats, **ways)
            best = min((k for k in t if k.startswith("torch")), key=lambda k: statistics.median(t[k]))
            print(f"  {name}: torch is best {best[6:]}", file=sys.stderr)
            r.put(name + "_vs_torch", ratio(t[best], t["noslit"]))
            # The paper's script makes 128 passes with dropout on, each at least as dear as one without.
            script.append([128 * a / b for a, b in zip(t["torch eager"], t["sampled"])])
        else:
            t = turns(args.repeats, **ways)
        r.put(f"mc128_overhead_{name}", [s / f - 1 for s, f in zip(t["sampled"], t["noslit"])])
        if what == "resnet34":
            useful = 2e-9 * macs * batch
            r.put("resnet34_of_sgemm_peak", [useful / f / (2e-9 * 1024**3 / s) for f, s in zip(t["noslit"], t["sgemm"])])
    if len(script) == 2:
        r.put("mc_vs_paper_script", min(script, key=statistics.median))
    if torch and r.wants("train_vs_torch"):
        bench_training_step(args, r, servant, torch, graph_torch)
    servant.close()


def write_default_weights(args, folder):
    """The weights of the model that comes with noslit, in the order of bench_nn's params.txt."""
    try:
        import h5py
        import numpy as np
    except ImportError:
        return
    servant = Servant(args.build + "/tests/bench_nn", greets=True)
    if os.path.exists(folder + "/weights.f32"):
        os.remove(folder + "/weights.f32")
    servant.ask("net", "eq", 1, folder)
    servant.close()
    names = [line.split()[0] for line in open(folder + "/params.txt")]
    with h5py.File(args.source + "/configs/models/default.h5") as f:
        if any(n not in f["weights"] for n in names):
            print("  default.h5 is of another graph: random weights instead", file=sys.stderr)
            return
        np.concatenate([f["weights"][n][()].ravel() for n in names]).astype(np.float32).tofile(folder + "/weights.f32")


def bench_training_step(args, r, servant, torch, graph_torch):
    folder, batch = f"{args.work}/nn_train", 96
    os.makedirs(folder, exist_ok=True)
    servant.ask("net", "eq", batch, folder)
    net, inputs, outputs = graph_torch.load(folder)
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01)
    target = torch.arange(batch) * 37 % outputs.shape[1]

    def step():
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(*inputs), target).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()

    t = turns(args.repeats, noslit=lambda: servant.ask("train")[0], torch=lambda: cpu_of(step))
    r.put("train_vs_torch", ratio(t["torch"], t["noslit"]))


def bench_io(args, r):
    servant = Servant(args.build + "/tests/bench_io")
    frame = args.work + "/frame.fits"
    if not os.path.exists(frame):
        servant.ask("make", frame)
    seconds, mb = {}, []
    for state in ("warm", "cold"):
        for turn in range(args.repeats + 1):
            for way in ("noslit", "subset", "frame"):
                s, m = servant.ask(way, frame, state, 250)
                if turn:
                    seconds.setdefault((way, state), []).append(s)
                    if way == "noslit" and state == "cold":
                        mb.append(m)
    if statistics.median(mb) < 1:
        r.cannot("cutout_mb_cold", "/proc/self/io does not count what this disk gives")
    else:
        r.put("cutout_mb_cold", mb)
    for state in ("warm", "cold"):
        r.put(f"cutout_s_{state}", seconds["noslit", state])
        best = [min(a, b) for a, b in zip(seconds["subset", state], seconds["frame", state])]
        r.put(f"cutout_vs_best_{state}", ratio(seconds["noslit", state], best))
    servant.close()


def run(args, *command, ranks=0):
    mpirun = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    start = time.monotonic()
    done = subprocess.run(mpirun + [args.build + "/noslit", *command], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip(" -")]
        said = [line for line in lines if line.startswith("noslit")][-1:] or lines[:1]
        raise RuntimeError(f"noslit {command[0]}: {' '.join(said)} (exit code {done.returncode})")
    return time.monotonic() - start


def survey(args):
    """The demo's mini survey, made once."""
    folder = args.work + "/survey"
    config = folder + "/survey.yaml"
    if not os.path.exists(folder + "/plan"):
        os.makedirs(folder, exist_ok=True)
        with open(args.source + "/configs/demo.yaml") as f, open(config, "w") as to:
            to.write(f.read().replace("@NOSLIT@", args.source))
        run(args, "simulate", config, ranks=2)
        run(args, "plan", config)
    return folder, config


def bench_job(args, r):
    folder, config = survey(args)
    if not r.wants("job_2workers_vs_1 galaxies_per_s_core"):
        run(args, "run", config, "--force", ranks=2)  # all of it: the report ranks the tiles of its own run
        bench_tile(args, r, folder, config)
        return
    walls, rates = {2: [], 3: []}, []
    for _ in range(max(2, args.repeats // 2)):
        for ranks in (2, 3):  # one master and one or two workers
            subprocess.run(["rm", "-rf", folder + "/run", folder + "/tiles"], check=True)
            run(args, "run", config, ranks=ranks)
            with open(folder + "/run/report.json") as f:
                report = json.load(f)
            walls[ranks].append(report["wall_s"])
            rates.append(report["sources_measured"] / sum(w["cpu_s"] for w in report["per_rank"] if w["tiles"]))
    if r.wants("tile_vs_python"):
        bench_tile(args, r, folder, config)
    r.put("job_2workers_vs_1", ratio(walls[2], walls[3]))
    r.put("galaxies_per_s_core", rates)


def bench_tile(args, r, folder, config):
    """The largest tile, by noslit and by peer/tile.py; CPU seconds, both from the start of the program to the written file."""
    with open(folder + "/run/report.json") as f:
        tile = json.load(f)["slowest"][0]["tile"]
    ours, theirs = [], []
    for _ in range(max(2, args.repeats // 2)):
        for times, command in ((ours, [args.build + "/noslit", "run", config, "--tiles", str(tile), "--force"]),
                               (theirs, [sys.executable, "-W", "ignore", args.source + "/tests/bench/peer/tile.py", folder, str(tile),
                                         args.source + "/configs", args.work + "/peer_tile.h5"])):
            before = os.times()
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                r.cannot("tile_vs_python", f"{command[1]}: {done.stderr.strip().splitlines()[-1:]}")
                return
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    print(f"  {done.stdout.strip()}", file=sys.stderr)
    r.put("tile_vs_python", ratio(theirs, ours))


def bench_merge(args, r):
    """Tiles of rows like the demo's, on two ranks: the merge, and as many bytes written into plain files by the same ranks."""
    folder, config = survey(args)
    rows = 200000
    run(args, "run", config, ranks=2)
    run(args, "merge", config)
    subprocess.run(["rm", "-rf", args.work + "/merge"], check=True)  # tiles of an older format
    program = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", args.build + "/tests/bench_par_merge"]
    done = subprocess.run(program + [f"{folder}/catalogue.hdf5", args.work + "/merge", str(rows), "1000",
                                     str(max(5, args.repeats))], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError("bench_par_merge: " + (done.stderr.strip().splitlines() or ["gave up"])[0])
    turns = [[float(x) for x in line.split()] for line in done.stdout.splitlines()]
    merge_s, write_s, read_s, plain_s, size, raw, memory, cpu_s = zip(*turns)
    print(f"  writing {statistics.median(write_s):.3g} s, reading back {statistics.median(read_s):.3g} s, "
          f"plain files {statistics.median(plain_s):.3g} s", file=sys.stderr)
    r.put("merge_vs_files", ratio(plain_s, merge_s))
    r.put("merge_mb_per_s", [1e-6 * b / s for b, s in zip(size, merge_s)])
    r.put("merge_rank_mb", memory)
    r.put("merge_cpu_ms_per_source", [1e3 * s / rows for s in cpu_s])
    r.put("catalogue_bytes_per_source", [b / rows for b in size])
    r.put("catalogue_vs_float32", ratio(size, raw))


def bench_train_ranks(args, r):
    folder = args.work + "/train"
    config = folder + "/train.yaml"
    if not glob.glob(folder + "/stamps/train*"):
        os.makedirs(folder, exist_ok=True)
        with open(args.source + "/configs/train_stamps.yaml") as f, open(config, "w") as to:
            to.write(f.read().replace("../out/train", folder).replace("instruments/", args.source + "/configs/instruments/"))
        run(args, "simulate", config, "--stamps", "--set", "simulate.stamps=384", "--set", "simulate.stamps_per_file=96", ranks=2)
    stamps = f"{folder}/stamps/train*.h5"

    def seconds(ranks, epochs):
        return run(args, "train", config, "--set", f"train.stamps={stamps}", "--set", f"train.validation={stamps}", "--set",
                   f"train.epochs={epochs}", "--set", f"train.output={folder}/model.h5", "--set", "train.validate_steps=1000000000",
                   ranks=ranks)

    gains = []
    for _ in range(max(2, args.repeats // 2)):
        one, two = (seconds(n, 9) - seconds(n, 1) for n in (1, 2))
        gains.append(one / two)
    r.put("train_2ranks_vs_1", gains)


PARTS = {
    "nn": (bench_nn, "resnet34_vs_torch default_vs_torch resnet34_of_sgemm_peak mc128_overhead_resnet34 mc128_overhead_default "
           "mc_vs_paper_script train_vs_torch resnet34_error default_error"),
    "io": (bench_io, "cutout_mb_cold cutout_s_cold cutout_s_warm cutout_vs_best_cold cutout_vs_best_warm"),
    "train": (bench_train_ranks, "train_2ranks_vs_1"),
    "merge": (bench_merge, "merge_vs_files merge_mb_per_s merge_rank_mb merge_cpu_ms_per_source "
              "catalogue_bytes_per_source catalogue_vs_float32"),
    "job": (bench_job, "job_2workers_vs_1 galaxies_per_s_core tile_vs_python"),
}


def machine():
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    return {"processor": model, "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2), "system": platform.platform(),
            "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def wanted_keys(parser, only):
    wanted = []
    for name in only.split(","):
        if name in PARTS:
            wanted += PARTS[name][1].split()
        elif name in KEYS:
            wanted.append(name)
        else:
            parser.error(f"--only {name}: neither a part ({' '.join(PARTS)}) nor a key ({' '.join(KEYS)})")
    return wanted


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--source", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--json", action="store_true")
    p.add_argument("--only", default=",".join(PARTS), metavar="KEY,...")
    p.add_argument("--repeats", type=int, default=7)
    args = p.parse_args()
    args.source, args.build, args.work = (os.path.abspath(x) for x in (args.source, args.build, args.work))
    os.makedirs(args.work, exist_ok=True)
    r, about, seconds = Results(wanted_keys(p, args.only)), machine(), {}
    for name, (part, keys) in PARTS.items():
        if not r.wants(keys):
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            part(args, r)
        except (RuntimeError, OSError, subprocess.SubprocessError) as e:
            r.cannot(keys, str(e))
        seconds[name] = round(time.monotonic() - start, 1)
        print(f"  {seconds[name]} s in all", file=sys.stderr, flush=True)
    for key in KEYS:
        if r.values[key] is None:
            r.why.setdefault(key, f"left out by --only {args.only}")
    result = dict(r.values, spread=r.spread, why=r.why, seconds=seconds, machine=about)
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        for key in KEYS:
            value = result[key]
            print(f"{key:28s} {'-' if value is None else format(value, '10.4g')}  {r.why.get(key, '+- %s' % r.spread.get(key, ''))}")


if __name__ == "__main__":
    main()
