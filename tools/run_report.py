#!/usr/bin/env python3
"""A run in one picture, 1280 pixels wide: load balance, throughput, tile times, predicted against measured cost, slowest tiles, failures.

    run_report.py WORKDIR [--run ID] [--out PICTURE.png]     (default WORKDIR/run/report.png)
    run_report.py WORKDIR --list                             which runs there are

It reads what runs left in WORKDIR/run (reports/, journal.jsonl, and those of the parts), and of each part the last run that made tiles."""
import argparse
import collections
import datetime
import glob
import json
import os
import sys
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

MAIN, SECOND, WARM, GREY, BAD = "#1f5fa8", "#2a9d8f", "#d95f02", "#c9ced6", "#b3261e"
FEW_RANKS = 24  # so many have bars of their own
COLUMNS = 92  # of text across the page


def load(path):
    """(report, journal lines of its run)"""
    with open(path) as f:
        report = json.load(f)
    lines = []
    folder = os.path.dirname(path)
    journal = os.path.join(os.path.dirname(folder) if os.path.basename(folder) == "reports" else folder, "journal.jsonl")
    if os.path.exists(journal):
        with open(journal, errors="replace") as f:
            for text in f:
                try:
                    line = json.loads(text)
                except ValueError:  # cut off by a crash
                    continue
                if line.get("run") == report["run"]:
                    lines.append(line)
    return report, lines


def kept(folder):
    """Reports of the runs that made tiles, oldest first."""
    return sorted(glob.glob(os.path.join(folder, "reports", "*.json")))


def ledgers(workdir, run):
    """What is to be drawn: the run asked for; else the last one, or the last runs of the parts, of those that made tiles."""
    folders = [os.path.join(workdir, "run")] + sorted(glob.glob(os.path.join(workdir, "run", "part-*")))
    if run:
        return [load(path) for folder in folders for path in kept(folder) if os.path.basename(path) == run + ".json"]
    found = []
    for folder in folders:
        paths = kept(folder)[-1:] or glob.glob(os.path.join(folder, "report.json"))
        found += [load(path) for path in paths]
    newest = max((r["utc"] for r, _ in found), default=None)
    whole = [x for x in found if not str(x[0].get("select", "")).count("--part")]
    if whole and whole[0][0]["utc"] == newest:  # the last run was not one of parts
        return whole
    return [x for x in found if x not in whole] or found


def seconds(line):
    return datetime.datetime.strptime(line["t"], "%Y-%m-%dT%H:%M:%SZ").timestamp()


def unit_of(longest_s):
    """Name and seconds of the unit in which this many seconds are a handy number."""
    return ("s", 1) if longest_s < 300 else ("min", 60) if longest_s < 5 * 3600 else ("h", 3600)


def amount(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def bytes_text(n):
    return f"{amount(n / 1e12)} TB" if n >= 1e12 else f"{amount(n / 1e9)} GB"


def plain_log(axis):
    """Ticks of a logarithmic axis as people write numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())
    low, high = axis.get_view_interval()
    if high > 50 * low:
        axis.set_major_locator(LogLocator(subs=(1,)))


def counts(axis):
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def draw_ranks(ax, reports):
    ranks = [r for report in reports for r in report["per_rank"]]
    if not ranks:
        return
    ranks.sort(key=lambda r: -r["busy_s"])
    name, unit = unit_of(max(r["busy_s"] + r["wait_s"] for r in ranks))
    parts = {
        "reading": ([r["io_s"] for r in ranks], WARM),
        "stamps": ([max(r["stamp_s"] - r["io_s"], 0) for r in ranks], SECOND),
        "network": ([r["infer_s"] for r in ranks], MAIN),
        "other": ([max(r["busy_s"] - max(r["stamp_s"], r["io_s"]) - r["infer_s"], 0) for r in ranks], "#7a8494"),
        "waiting": ([r["wait_s"] for r in ranks], GREY),
    }
    x, bottom = np.arange(len(ranks)), np.zeros(len(ranks))
    for label, (seconds, colour) in parts.items():
        value = np.array(seconds) / unit
        if len(ranks) <= FEW_RANKS:
            ax.bar(x, value, 0.8, bottom=bottom, color=colour, label=label)
        else:
            ax.fill_between(np.append(x, len(x)), np.append(bottom, bottom[-1]), np.append(bottom + value, (bottom + value)[-1]), step="post", color=colour, label=label, lw=0)
        bottom = bottom + value
    if len(ranks) <= FEW_RANKS:
        ax.set_xticks(x, [str(r["rank"]) for r in ranks] if len(reports) == 1 else [""] * len(ranks), rotation=90 if len(ranks) > 10 else 0)
        ax.set(xlabel="rank, busiest first")
    else:
        ax.set(xlabel="workers, busiest first", xlim=(0, len(ranks)))
    ax.set(ylabel=f"time, {name}")
    ax.set_title("load balance", pad=40)
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), columnspacing=1, handlelength=1, handletextpad=0.4)


def draw_throughput(ax, journals):
    done = sorted(seconds(line) for lines in journals for line in lines if line["e"] == "done")
    starts = [seconds(line) for lines in journals for line in lines if line["e"] == "start"]
    if not done or not starts:
        return
    name, unit = unit_of(done[-1] - min(starts))
    t = (np.array(done) - min(starts)) / unit
    ax.step(np.append(0, t), np.arange(len(t) + 1), where="post", color=MAIN, lw=2)
    bad = [(seconds(line) - min(starts)) / unit for lines in journals for line in lines if line["e"] in ("fail", "lost")]
    if bad:
        ax.plot(bad, np.zeros(len(bad)), "|", ms=14, mew=2, color=BAD, clip_on=False, label="failed attempt, lost worker")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
    counts(ax.yaxis)
    ax.set(xlabel=f"since the start, {name}", ylabel="tiles made", ylim=(0, 1.05 * len(t)), xlim=(0, None))
    ax.set_title("throughput", pad=40)


def tile_seconds(journals):
    return {line["tile"]: line["s"] for lines in journals for line in lines if line["e"] == "done" and "s" in line}


def draw_times(ax, times):
    if not times:
        return
    values = np.maximum(np.array(list(times.values())), 1e-3)
    bins = int(min(40, max(6, 2 * np.sqrt(len(values)))))
    ax.hist(values, bins=np.geomspace(values.min() * 0.9, values.max() * 1.1, bins), color=MAIN)
    ax.set(xscale="log", xlabel="time of a tile, s", ylabel="tiles")
    ax.set_title(f"tiles: median {np.median(values):.3g} s, longest {values.max():.3g} s")
    plain_log(ax.xaxis)
    counts(ax.yaxis)


def draw_prediction(ax, workdir, times, model):
    """The cost that the fitted model gives the tiles of the plan, against what they took."""
    try:
        import h5py

        with h5py.File(os.path.join(workdir, "plan", "index.h5")) as f:
            tile, sources, visits, exposures = f["tile"][:, :4].T
    except (ImportError, OSError, KeyError) as problem:
        ax.text(0.5, 0.5, textwrap.fill(f"no plan to compare with: {problem}", 30), ha="center", va="center", transform=ax.transAxes)
        return
    cost = model["per_visit_s"] * visits + model["per_source_s"] * sources + model["per_exposure_s"] * exposures + model["per_tile_s"]
    both = [(c, times[int(t)]) for t, c in zip(tile, cost) if int(t) in times]
    if not both:
        return
    predicted, measured = np.maximum(np.array(both).T, 1e-3)
    low, high = 0.7 * min(predicted.min(), measured.min()), 1.4 * max(predicted.max(), measured.max())
    line = np.array([low, high])
    ax.fill_between(line, line / 2, line * 2, color=GREY, alpha=0.4, lw=0, label="a factor of 2")
    ax.plot(line, line, color="#7a8494", lw=1)
    ax.plot(predicted, measured, ".", ms=max(2, 8 - len(both) / 200), color=MAIN, rasterized=True)
    within = np.mean(np.abs(np.log(measured / predicted)) < np.log(2))
    ax.set(xscale="log", yscale="log", xlim=line, ylim=line, xlabel="cost model, s", ylabel="measured, s")
    ax.set_title(f"cost model: {100 * within:.0f} % within a factor of 2")
    ax.legend(loc="upper left")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)


def draw_slowest(ax, reports):
    slow = sorted((s for r in reports for s in r["slowest"]), key=lambda s: -s["seconds"])[:10]
    name, unit = unit_of(slow[0]["seconds"] if slow else 0)
    y = np.arange(len(slow))
    ax.barh(y, [s["seconds"] / unit for s in slow], color=MAIN, label="measured")
    ax.plot([s["predicted_s"] / unit for s in slow], y, "|", ms=16, mew=3, color=WARM, label="predicted before the run")
    ax.set_yticks(y, [f"{s['tile']}: {s['sources']} sources, {s['exposures']} exposures" for s in slow])
    ax.invert_yaxis()
    ax.set(xlabel=f"time, {name}")
    ax.set_title("slowest tiles", pad=24)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def draw_words(ax, reports, journals):
    tiles = collections.Counter()
    for r in reports:
        tiles.update(r["tiles"])
    newest = max(reports, key=lambda r: r["utc"])
    wall = max(r["wall_s"] for r in reports)
    busy = sum(w["busy_s"] for r in reports for w in r["per_rank"])
    offered = sum(r["wall_s"] * max(r["ranks"] - 1, 1) for r in reports)
    sources = sum(r["sources_measured"] for r in reports)
    read = sum(w["bytes_read"] for r in reports for w in r["per_rank"])
    name, unit = unit_of(wall)
    predicted, measured = (sum(r[key] for r in reports) for key in ("predicted_s", "measured_s"))
    of_prediction = f" ({measured / predicted:.2f} of it)" if predicted > 0 else ""
    runs = "the last run" if len(reports) == 1 else f"{len(reports)} parts"
    lines = [
        f"{os.path.basename(newest['config'])}: {runs}, ended {newest['utc']}",
        f"noslit {newest.get('code_version', '?')} (results {newest.get('results_version', '?')}, {newest.get('code_commit', '?')}), {sum(r['ranks'] for r in reports)} ranks, master on {newest.get('host', '?')}",
        f"{tiles['made']:,} tiles made, {tiles['verified']:,} verified, {tiles['quarantined']:,} in quarantine, {tiles['left']:,} left",
        f"{sources:,} sources in {wall / unit:.3g} {name}: {amount(sources / max(wall, 1e-9))} a second; {bytes_text(read)} read",
        f"utilisation {100 * busy / max(offered, 1e-9):.0f} %, busiest worker {max(r['imbalance'] for r in reports):.2f} of the mean",
        f"predicted {amount(predicted / 3600)} core-hours, measured {amount(measured / 3600)}{of_prediction}",
        f"{sum(r['workers_lost'] for r in reports)} workers lost, {tiles['failed_attempts']} failed attempts, {tiles['speculated']} tiles given to a second worker",
    ]
    why = collections.Counter(line.get("why", "") for j in journals for line in j if line["e"] in ("fail", "lost"))
    lines += [textwrap.shorten(f"{n} x {text}", 2 * COLUMNS - 10, placeholder=" ...") for text, n in why.most_common(5)]
    ax.axis("off")
    ax.text(0, 1, "\n".join("\n   ".join(textwrap.wrap(line, COLUMNS)) for line in lines), va="top", transform=ax.transAxes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir")
    parser.add_argument("--out")
    parser.add_argument("--run", help="a run's name, as --list gives it")
    parser.add_argument("--list", action="store_true", help="the runs that made tiles")
    args = parser.parse_args()
    if args.list:
        for path in sorted(kept(os.path.join(args.workdir, "run")) + kept(os.path.join(args.workdir, "run", "part-*"))):
            report, _ = load(path)
            print(f"{report['run']}  {report['tiles']['made']:8d} tiles  {report['wall_s']:10.1f} s  {report['ranks']:6d} ranks  {report['select']}")
        return
    found = ledgers(args.workdir, args.run)
    if not found:
        sys.exit(f"{args.workdir}/run: no such run" if args.run else f"{args.workdir}/run has no report: nothing has run to its end there")
    reports, journals = zip(*found)
    plt.rcParams.update({"font.size": 12, "axes.titlesize": 13, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 11, "figure.facecolor": "white"})
    figure = plt.figure(figsize=(9, 14), layout="constrained")
    rows = figure.subfigures(4, 1, height_ratios=(0.55, 1.15, 1, 1.15), hspace=0.03)
    axes = {"words": rows[0].subplots(), "slowest": rows[3].subplots()}
    axes["ranks"], axes["throughput"] = rows[1].subplots(1, 2)
    axes["times"], axes["prediction"] = rows[2].subplots(1, 2)
    times = tile_seconds(journals)
    draw_words(axes["words"], reports, journals)
    draw_ranks(axes["ranks"], reports)
    draw_throughput(axes["throughput"], journals)
    draw_times(axes["times"], times)
    draw_prediction(axes["prediction"], args.workdir, times, max(reports, key=lambda r: r["cost_model"]["measured_tiles"])["cost_model"])
    draw_slowest(axes["slowest"], reports)
    out = args.out or os.path.join(args.workdir, "run", "report.png")
    figure.savefig(out, dpi=142)
    print(out)


if __name__ == "__main__":
    main()
