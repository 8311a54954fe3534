#!/usr/bin/env python3
"""A run in one picture: load balance, throughput, tile times, predicted against measured cost, slowest tiles, failures.

    run_report.py WORKDIR [--out PICTURE.png]     (default WORKDIR/run/report.png)

It reads what runs left in WORKDIR/run (report.json, journal.jsonl, and those of the parts), and of each part the last run."""
import argparse
import collections
import datetime
import glob
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

MAIN, SECOND, WARM, GREY, BAD = "#1f5fa8", "#2a9d8f", "#d95f02", "#c9ced6", "#b3261e"


def ledgers(workdir):
    """(report, journal lines) of each folder that has both; only lines of the run that the report is about."""
    found = []
    for path in sorted(glob.glob(os.path.join(workdir, "run", "report.json")) + glob.glob(os.path.join(workdir, "run", "part-*", "report.json"))):
        with open(path) as f:
            report = json.load(f)
        lines = []
        journal = os.path.join(os.path.dirname(path), "journal.jsonl")
        if os.path.exists(journal):
            with open(journal, errors="replace") as f:
                for text in f:
                    try:
                        line = json.loads(text)
                    except ValueError:  # cut off by a crash
                        continue
                    if line.get("run") == report["run"]:
                        lines.append(line)
        found.append((report, lines))
    newest = max((r["utc"] for r, _ in found), default=None)
    whole = [x for x in found if not str(x[0].get("select", "")).count("--part")]
    if whole and whole[0][0]["utc"] == newest:  # the last run was not one of parts
        return whole
    return [x for x in found if x not in whole] or found


def seconds(line):
    return datetime.datetime.strptime(line["t"], "%Y-%m-%dT%H:%M:%SZ").timestamp()


def draw_ranks(ax, reports):
    ranks = [r for report in reports for r in report["per_rank"]]
    if not ranks:
        return
    ranks.sort(key=lambda r: -r["busy_s"])
    x = np.arange(len(ranks) + 1)
    bottom = np.zeros(len(ranks))
    parts = (("reading", "io_s", WARM), ("stamps", None, SECOND), ("network", "infer_s", MAIN), ("else", "rest", "#7a8494"), ("waiting", "wait_s", GREY))
    for label, key, colour in parts:
        if key is None:
            value = np.array([max(r["stamp_s"] - r["io_s"], 0) for r in ranks])
        elif key == "rest":
            value = np.array([max(r["busy_s"] - max(r["stamp_s"], r["io_s"]) - r["infer_s"], 0) for r in ranks])
        else:
            value = np.array([r[key] for r in ranks])
        ax.fill_between(x, np.append(bottom, bottom[-1]), np.append(bottom + value, (bottom + value)[-1]), step="post", color=colour, label=label, lw=0)
        bottom = bottom + value
    ax.set(xlabel="workers, busiest first", ylabel="seconds", title="load balance", xlim=(0, len(ranks)))
    ax.legend(fontsize=8, ncols=5, loc="lower center", frameon=True, framealpha=0.85, columnspacing=0.8, handlelength=1)


def draw_throughput(ax, journals):
    done = sorted(seconds(line) for lines in journals for line in lines if line["e"] == "done")
    starts = [seconds(line) for lines in journals for line in lines if line["e"] == "start"]
    if not done or not starts:
        return
    t = (np.array(done) - min(starts)) / 60
    ax.step(np.append(0, t), np.arange(len(t) + 1), where="post", color=MAIN)
    for lines in journals:
        for line in lines:
            if line["e"] in ("fail", "lost"):
                ax.axvline((seconds(line) - min(starts)) / 60, color=BAD, lw=0.7)
    ax.set(xlabel="minutes since the start", ylabel="tiles made", title="throughput (red: failed attempts and lost workers)")


def tile_seconds(journals):
    return {line["tile"]: line["s"] for lines in journals for line in lines if line["e"] == "done" and "s" in line}


def draw_times(ax, times):
    if not times:
        return
    values = np.maximum(np.array(list(times.values())), 1e-3)
    ax.hist(values, bins=np.geomspace(values.min() * 0.9, values.max() * 1.1, 40), color=MAIN)
    ax.set(xscale="log", xlabel="seconds", ylabel="tiles", title=f"time of a tile: median {np.median(values):.3g} s, longest {values.max():.3g} s")


def draw_prediction(ax, workdir, times, model):
    """The cost that the fitted model gives the tiles of the plan, against what they took."""
    try:
        import h5py

        with h5py.File(os.path.join(workdir, "plan", "index.h5")) as f:
            tile, sources, visits, exposures = f["tile"][:, :4].T
    except (ImportError, OSError, KeyError) as problem:
        ax.text(0.5, 0.5, f"no plan to compare with:\n{problem}", ha="center", transform=ax.transAxes, fontsize=8)
        return
    cost = model["per_visit_s"] * visits + model["per_source_s"] * sources + model["per_exposure_s"] * exposures + model["per_tile_s"]
    both = [(c, times[int(t)]) for t, c in zip(tile, cost) if int(t) in times]
    if not both:
        return
    predicted, measured = np.maximum(np.array(both).T, 1e-3)
    low, high = min(predicted.min(), measured.min()), max(predicted.max(), measured.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1)
    ax.plot(predicted, measured, ".", ms=3, color=MAIN, rasterized=True)
    off = np.sqrt(np.mean(np.log(measured / predicted) ** 2))
    ax.set(xscale="log", yscale="log", xlabel="cost model, seconds", ylabel="measured, seconds", title=f"cost model against measured: rms {100 * off:.0f} %")


def draw_slowest(ax, reports):
    slow = sorted((s for r in reports for s in r["slowest"]), key=lambda s: -s["seconds"])[:10]
    y = np.arange(len(slow))
    ax.barh(y, [s["seconds"] for s in slow], color=MAIN, label="measured")
    ax.plot([s["predicted_s"] for s in slow], y, "|", ms=12, mew=2, color=WARM, label="predicted before the run")
    ax.set_yticks(y, [f"{s['tile']} ({s['sources']} src, {s['exposures']} exp)" for s in slow], fontsize=7)
    ax.invert_yaxis()
    ax.set(xlabel="seconds", title="slowest tiles")
    ax.legend(fontsize=8)


def draw_words(ax, reports, journals):
    tiles = collections.Counter()
    for r in reports:
        tiles.update(r["tiles"])
    wall = max(r["wall_s"] for r in reports)
    busy = sum(w["busy_s"] for r in reports for w in r["per_rank"])
    offered = sum(r["wall_s"] * max(r["ranks"] - 1, 1) for r in reports)
    sources = sum(r["sources_measured"] for r in reports)
    read = sum(w["bytes_read"] for r in reports for w in r["per_rank"])
    lines = [
        f"{os.path.basename(reports[0]['config'])}: {len(reports)} run(s), last {max(r['utc'] for r in reports)}",
        f"{tiles['made']} tiles made, {tiles['verified']} verified, {tiles['quarantined']} in quarantine, {tiles['left']} left",
        f"{sources} sources in {wall:.0f} s: {sources / max(wall, 1e-9):.1f} /s, {1e-9 * read:.2f} GB read",
        f"utilisation {100 * busy / max(offered, 1e-9):.0f} %, busiest over mean {max(r['imbalance'] for r in reports):.2f}",
        f"predicted {sum(r['predicted_s'] for r in reports):.0f} s, measured {sum(r['measured_s'] for r in reports):.0f} s of core time",
        f"{sum(r['workers_lost'] for r in reports)} workers lost, {tiles['failed_attempts']} failed attempts, {tiles['speculated']} twins",
        "",
    ]
    why = collections.Counter(line.get("why", "")[:70] for j in journals for line in j if line["e"] in ("fail", "lost"))
    lines += ["failures:"] + [f"{n} × {text}" for text, n in why.most_common(6)] if why else ["no failures"]
    ax.axis("off")
    ax.text(0, 1, "\n".join(lines), va="top", fontsize=9, transform=ax.transAxes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir")
    parser.add_argument("--out")
    args = parser.parse_args()
    found = ledgers(args.workdir)
    if not found:
        sys.exit(f"{args.workdir}/run has no report.json: nothing has run to its end there")
    reports, journals = zip(*found)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    times = tile_seconds(journals)
    draw_ranks(axes[0, 0], reports)
    draw_throughput(axes[0, 1], journals)
    draw_times(axes[0, 2], times)
    draw_prediction(axes[1, 0], args.workdir, times, max(reports, key=lambda r: r["cost_model"]["measured_tiles"])["cost_model"])
    draw_slowest(axes[1, 1], reports)
    draw_words(axes[1, 2], reports, journals)
    out = args.out or os.path.join(args.workdir, "run", "report.png")
    figure.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    main()
