"""Figures of the validation report: each function takes the data and returns a matplotlib figure, or None when there is
nothing to draw. Numbers with errors come from metrics.json; what is drawn from single sources comes from matched.h5."""
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

MAIN, SECOND, PAPER, GREY, BAD = "#1f5fa8", "#2a9d8f", "#d95f02", "#8a8f98", "#b3261e"
plt.rcParams.update({
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e3e6ea",
    "grid.linewidth": 0.7, "axes.axisbelow": True, "axes.edgecolor": "#555b63", "legend.frameon": False, "figure.constrained_layout.use": True,
    "svg.hashsalt": "noslit", "axes.titlesize": 11, "legend.fontsize": 9.5,
})
SIZE = (5.2, 4.3)
PAPER_CUTS = ("snr_gi>=1", "snr_gi>=3", "snr_gi>=5", "snr_gi>=10")


def num(x):
    """null in JSON is a number that does not exist."""
    return np.nan if x is None else x


def density(ax, x, y, bins):
    """Counts as colours; single points where there are few. Returns the image, None for points."""
    if len(x) < 3000:
        ax.plot(x, y, "o", ms=3.2 if len(x) < 500 else 2, mew=0, color=MAIN, alpha=0.55, rasterized=True)
        return None
    return ax.hist2d(x, y, bins=bins, norm=LogNorm(vmin=1), cmap="viridis_r", rasterized=True, cmin=1)[3]


def count_bar(fig, ax, image):
    if image is None:
        return
    bar = fig.colorbar(image, ax=ax, label="sources", pad=0.01)
    bar.ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    bar.ax.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def zz(d):
    fig, ax = plt.subplots(figsize=SIZE)
    top = max(1.0, np.nanpercentile(d["z_true"], 99.8) * 1.05, np.nanpercentile(d["z_point"], 99.8) * 1.05)
    edges = np.linspace(0, top, 161)
    image = density(ax, d["z_true"], d["z_point"], [edges, edges])
    line = np.array([0, top])
    ax.plot(line, line, color="k", lw=0.7)
    for t, style in ((0.02, ":"), (0.15, "--")):
        ax.plot(line, line + t * (1 + line), color=BAD, lw=0.9, ls=style, label=f"|dz|/(1+z) = {t}")
        ax.plot(line, line - t * (1 + line), color=BAD, lw=0.9, ls=style)
    ax.set(xlim=(0, top), ylim=(0, top), xlabel="true redshift", ylabel="redshift (mode of the PDF)")
    ax.legend(loc="upper left")
    count_bar(fig, ax, image)
    return fig


def running(ax, x, e, edges):
    """Median and 16-84 % band of e in bins of x with at least 20 sources."""
    mid, lo, med, hi = [], [], [], []
    for a, b in zip(edges[:-1], edges[1:]):
        s = e[(x >= a) & (x < b)]
        if len(s) >= 20:
            mid.append(np.sqrt(a * b) if a > 0 and edges[1] / edges[0] > 1.2 else 0.5 * (a + b))
            q = np.percentile(s, [16, 50, 84])
            lo.append(q[0]), med.append(q[1]), hi.append(q[2])
    if mid:
        ax.plot(mid, med, color="k", lw=1.4, label="median")
        ax.plot(mid, lo, color="k", lw=0.9, ls="--", label="16 %, 84 %")
        ax.plot(mid, hi, color="k", lw=0.9, ls="--")
        ax.legend(loc="upper right", ncol=2)


def residual(d, key, label, log):
    x, e = d[key].astype("f8"), d["e"]
    ok = np.isfinite(x) & ((x > 0) | (not log))
    x, e = x[ok], e[ok]
    if len(x) < 2:
        return None
    fig, ax = plt.subplots(figsize=SIZE)
    lo, hi = np.percentile(x, [0.3, 99.7])
    if not hi > lo:
        return None
    xe = np.geomspace(lo, hi, 81) if log else np.linspace(lo, hi, 81)
    thresh = 0.01
    t = np.concatenate([-np.geomspace(1, thresh, 40), np.linspace(-thresh, thresh, 61)[1:-1], np.geomspace(thresh, 1, 40)])
    image = density(ax, np.clip(x, lo, hi), np.clip(e, -0.999, 0.999), [xe, t])
    ax.set_yscale("symlog", linthresh=thresh, linscale=1.5)
    ax.set_yticks([-0.5, -0.15, -0.02, -0.005, 0, 0.005, 0.02, 0.15, 0.5])
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    ax.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    if log:
        log_axis(ax, lo, hi)
    running(ax, x, e, np.geomspace(lo, hi, 16) if log else np.linspace(lo, hi, 16))
    ax.set(xlim=(lo, hi), ylim=(-0.7, 0.7), xlabel=label, ylabel="(z − z_true) / (1 + z_true)")
    count_bar(fig, ax, image)
    return fig


def log_axis(ax, lo, hi):
    ax.set_xscale("log")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if lo <= t <= hi]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def pit(d):
    fig, ax = plt.subplots(figsize=SIZE)
    n, bins = len(d["pit"]), 20
    counts, edges = np.histogram(d["pit"], bins=bins, range=(0, 1))
    ax.stairs(counts / n * bins, edges, fill=True, color=MAIN, alpha=0.35)
    ax.stairs(counts / n * bins, edges, color=MAIN)
    sd = np.sqrt(bins / n * (1 - 1 / bins))
    ax.axhspan(1 - 2 * sd, 1 + 2 * sd, color=GREY, alpha=0.25, lw=0, label="uniform, ±2 sigma")
    ax.axhline(1, color="k", lw=0.7)
    ax.set(xlim=(0, 1), ylim=(0, None), xlabel="PIT: CDF at the true redshift", ylabel="density")
    ax.legend(loc="lower center")
    return fig


def qq(d):
    fig, (ax, strip) = plt.subplots(2, 1, figsize=SIZE, sharex=True, height_ratios=[3, 1])
    u, level = np.sort(d["pit"]), np.linspace(0, 1, 201)
    q = np.quantile(u, level)
    ax.plot([0, 1], [0, 1], color="k", lw=0.7)
    ax.plot(level, q, color=MAIN, lw=1.8)
    ax.set(xlim=(0, 1), ylim=(0, 1), ylabel="quantile of PIT")
    strip.axhline(0, color="k", lw=0.7)
    strip.plot(level, q - level, color=MAIN, lw=1.4)
    band = 1.36 / np.sqrt(len(u))
    strip.axhspan(-band, band, color=GREY, alpha=0.25, lw=0)
    strip.set(xlabel="nominal quantile (band: 95 % of uniform samples)", ylabel="deviation")
    return fig


def coverage(d):
    fig, ax = plt.subplots(figsize=SIZE)
    a = np.linspace(0.02, 0.99, 80)
    central, hpd = np.abs(2 * d["pit"] - 1), d["hpd"]
    ax.plot([0, 1], [0, 1], color="k", lw=0.7)
    ax.plot(a, [np.mean(central <= x) for x in a], color=MAIN, lw=1.8, label="central intervals")
    ax.plot(a, [np.mean(hpd <= x) for x in a], color=SECOND, lw=1.8, label="highest density")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability that the interval claims", ylabel="fraction of truths inside")
    ax.text(0.96, 0.06, "below the line: PDFs too narrow", ha="right", color=GREY, transform=ax.transAxes, fontsize=9.5)
    ax.legend(loc="upper left")
    return fig


def pull(d):
    x = (d["z_point"].astype("f8") - d["z_true"]) / d["sigma_z"]
    fig, ax = plt.subplots(figsize=SIZE)
    edges = np.linspace(-5, 5, 51)
    ax.hist(np.clip(x, -4.99, 4.99), edges, density=True, color=MAIN, alpha=0.45, label="(z − z_true) / E")
    g = np.linspace(-5, 5, 200)
    ax.plot(g, np.exp(-g * g / 2) / np.sqrt(2 * np.pi), color="k", lw=1, label="unit Gaussian")
    ax.set(xlim=(-5, 5), xlabel="pull (the last bins hold all beyond)", ylabel="density")
    ax.legend(loc="upper right")
    return fig


def nz(d, stacked, edge_z):
    fig, ax = plt.subplots(figsize=SIZE)
    top = min(edge_z[-1], np.percentile(d["z_true"], 99.9) * 1.1 + 0.05)
    width = 0.05 if len(d["z_true"]) > 300 else 0.1
    edges = np.arange(0, top + width, width)
    n = len(d["z_true"])
    ax.hist(d["z_true"], edges, color=GREY, alpha=0.45, label="truth")
    cdf = np.concatenate([[0], np.cumsum(stacked)])
    cdf *= n / cdf[-1]
    ax.stairs(np.diff(np.interp(edges, edge_z, cdf, left=0, right=n)), edges, color=MAIN, lw=1.8, label="stacked PDFs")
    ax.hist(d["z_point"], edges, histtype="step", color=PAPER, lw=1.3, label="modes")
    ax.set(xlim=(0, top), xlabel="redshift", ylabel=f"sources per {width}")
    ax.legend(loc="upper right")
    return fig


def bins_of(metrics, axis):
    """Bins of an axis with at least 5 sources, finite edges first replaced by something drawable."""
    rows = [b for b in metrics.values() if isinstance(b, dict) and b.get("axis") == axis and "lo" in b and b["n"] >= 5]
    x, half = [], []
    for b in rows:
        lo, hi = b["lo"], b["hi"]
        lo = hi * 0.5 if lo is None else lo
        hi = lo * 2 if hi is None else hi
        x.append(0.5 * (lo + hi))
        half.append(0.5 * (hi - lo))
    return rows, np.array(x), np.array(half)


def binned(metrics, axis, label):
    rows, x, half = bins_of(metrics, axis)
    if len(rows) < 2:
        return None
    fig, axes = plt.subplots(3, 1, figsize=(5.2, 6.0), sharex=True)
    few = np.array([bool(b.get("few")) for b in rows])
    for ax, key, name in zip(axes, ("sigma_nmad", "bias", "outlier_0.02"), ("sigma_NMAD", "bias", "outliers > 0.02")):
        y = np.array([num(b[key]) for b in rows], float)
        err = np.nan_to_num(np.array([num(b[key + "_err"]) for b in rows], float))
        for sel, alpha in ((~few, 1.0), (few, 0.35)):
            ax.errorbar(x[sel], y[sel], yerr=err[sel], xerr=half[sel], fmt="o", ms=4, color=MAIN, alpha=alpha, lw=1.2)
        ax.set_ylabel(name)
        limits(ax, y[~few] if (~few).sum() > 1 else y, err[~few] if (~few).sum() > 1 else err, key == "bias")
    if axis == "snr_gi":
        with_paper(axes, metrics)
    if axis.startswith("snr"):
        log_axis(axes[-1], 0.4, 45)
        axes[-1].set_xlim(0.4, 45)
    axes[-1].set_xlabel(label)
    fig.align_ylabels(axes)
    return fig


def limits(ax, y, err, signed):
    """Limits from the bins that have enough sources."""
    top = 1.15 * np.nanmax(np.abs(y) + err)
    if not top > 0:
        top = 1e-3
    ax.set_ylim(-top if signed else 0, top)
    if signed:
        ax.axhline(0, color="k", lw=0.7)


def with_paper(axes, metrics):
    """Everything above a cut, beside the paper's four numbers."""
    cut = np.array([float(k.split(">=")[1]) for k in PAPER_CUTS])
    for ax, key in zip(axes, ("sigma_nmad", "bias", "outlier_0.02")):
        y = [num(metrics[k][key]) for k in PAPER_CUTS]
        err = np.nan_to_num([num(metrics[k][key + "_err"]) for k in PAPER_CUTS])
        ax.errorbar(cut, y, yerr=err, fmt="^", ms=6, color=SECOND, lw=1.2, label="all above this SNR")
    paper = metrics["meta"]["paper"]
    axes[0].set_ylim(0, max(axes[0].get_ylim()[1], 0.0115))
    axes[0].plot(cut, [paper[k]["sigma_nmad"] for k in PAPER_CUTS], "s", ms=6, mfc="none", color=PAPER, label="paper, all above")
    axes[0].legend(loc="upper right")


def purity(metrics):
    c = metrics["confidence"]
    if len(c["curve"]) < 2:
        return None
    other = metrics.get("confidence_p_good", {"curve": []})
    curve = lambda c: (np.array([p[k] for p in c["curve"]]) for k in ("efficiency", "purity", "completeness"))
    fig, ax = plt.subplots(figsize=SIZE)
    for one, style, name in ((c, "-", "odds"), (other, "--", "p_good")):
        if len(one["curve"]) >= 2:
            eff, pur, com = curve(one)
            ax.plot(eff, pur, style, color=MAIN, lw=1.8, label=f"purity by {name}")
            ax.plot(eff, com, style, color=SECOND, lw=1.8, label="completeness" if one is c else None)
    for key, y, marker in (("purity_95", 95, "s"), ("purity_99", 99, "o")):
        if key in c:
            ax.plot(c[key]["efficiency"], c[key]["purity"], marker, color=PAPER, label=f"{y} % pure: odds ≥ {c[key]['threshold']:.3f}")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="fraction of matched sources kept, most confident first", ylabel="fraction right to 0.02 (1+z)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2, columnspacing=1, handlelength=1.5)
    return fig


def reliability(d):
    good = np.abs(d["e"]) <= 0.01
    fig, ax = plt.subplots(figsize=SIZE)
    ax.plot([0, 1], [0, 1], color="k", lw=0.7)
    for name, color, marker in (("odds", MAIN, "o"), ("p_good", SECOND, "s")):
        if name not in d or not np.isfinite(d[name]).any():
            continue
        claimed = d[name].astype("f8")
        edges = np.unique(np.nanquantile(claimed, np.linspace(0, 1, 16)))
        which = np.clip(np.searchsorted(edges, claimed, side="right") - 1, 0, len(edges) - 2)
        label = name
        for k in range(len(edges) - 1):
            s = (which == k) & np.isfinite(claimed)
            if s.sum() >= 10:
                p = good[s].mean()
                ax.errorbar(claimed[s].mean(), p, yerr=np.sqrt(max(p * (1 - p), 1 / s.sum()) / s.sum()), fmt=marker, color=color, ms=4.5, label=label)
                label = None
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="claimed P(|dz| ≤ 0.01 (1+z))", ylabel="fraction that is")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left")
    return fig


def sky(cat, matched):
    ra, dec = cat["ra"], cat["dec"]
    if not len(ra):
        return None
    fig, ax = plt.subplots(figsize=SIZE)
    x = np.where(ra - circular_mean(ra) > 180, ra - 360, np.where(ra - circular_mean(ra) < -180, ra + 360, ra))
    shift = lambda r: np.where(r - circular_mean(ra) > 180, r - 360, np.where(r - circular_mean(ra) < -180, r + 360, r))
    pick = np.random.default_rng(1).permutation(len(x))[:20000]
    ax.plot(x[pick], dec[pick], ",", color="#c4c8ce", rasterized=True)
    for sel, colour, name in ((matched["good"], MAIN, "right to 0.02"), (matched["wrong"], PAPER, "wrong"), (matched["lost"], BAD, "no PDF")):
        k = np.flatnonzero(sel)
        k = np.random.default_rng(1).permutation(k)[:8000]
        size = 10 if len(matched["ra"]) < 2000 else 4 if len(matched["ra"]) < 10000 else 1.5
        ax.scatter(shift(matched["ra"][k]), matched["dec"][k], s=size, lw=0, color=colour, rasterized=True, label=f"{name}: {sel.sum()}")
    ax.invert_xaxis()
    ax.ticklabel_format(useOffset=False)
    ax.set_aspect(1 / max(np.cos(np.radians(np.median(dec))), 0.05), adjustable="datalim")
    ax.set(xlabel="right ascension [deg]", ylabel="declination [deg]")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncol=3, markerscale=2, handletextpad=0.1, columnspacing=0.9)
    return fig


def circular_mean(ra):
    return np.degrees(np.angle(np.mean(np.exp(1j * np.radians(ra))))) % 360


def flags(cat, words):
    n = len(cat["flags"])
    share = [(w, np.mean((cat["flags"] >> b) & 1)) for b, w in words]
    share = [("none", np.mean(cat["flags"] == 0))] + [s for s in share if s[1] > 0]
    fig, ax = plt.subplots(figsize=(5.2, 0.6 + 0.34 * len(share) + 0.5))
    y = np.arange(len(share))[::-1]
    ax.barh(y, [100 * s for _, s in share], color=[SECOND] + [MAIN] * (len(share) - 1), height=0.65)
    ax.set_yticks(y, [w for w, _ in share])
    for yy, (_, s) in zip(y, share):
        ax.text(100 * s, yy, f" {100 * s:.1f} %", va="center", fontsize=9.5)
    ax.set(xlabel=f"% of the {n} sources of the catalogue", xlim=(0, 115 * max(s for _, s in share)))
    ax.grid(False)
    return fig


def card(row, pdf, edge_z, stamps):
    """PDF of one source with truth and mode; its stamps above when there are some."""
    n_stamps = 0 if stamps is None else 2
    fig, axes = plt.subplots(1 + n_stamps, 1, figsize=(5.2, 2.3 + 0.8 * n_stamps), height_ratios=[1] * n_stamps + [2.2])
    ax = axes[-1] if n_stamps else axes
    for k in range(n_stamps):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lo, hi = np.nanpercentile(stamps[k], [2, 99.5])
        axes[k].imshow(stamps[k], origin="lower", aspect="auto", cmap="gray_r", vmin=lo, vmax=hi, interpolation="nearest")
        axes[k].set_axis_off()
        axes[k].text(0.005, 0.9, ("GV", "GI")[k], transform=axes[k].transAxes, va="top", color=MAIN, weight="bold",
                     bbox={"fc": "w", "ec": "none", "alpha": 0.8, "pad": 1})
    ax.stairs(pdf, edge_z, color=MAIN, fill=True, alpha=0.35)
    ax.stairs(pdf, edge_z, color=MAIN, lw=1)
    ax.axvline(row["z_true"], color="k", lw=1.2, ls="--", label=f"truth {row['z_true']:.4f}")
    ax.plot(row["z_point"], 0, "^", color=PAPER, clip_on=False, ms=8, label=f"mode {row['z_point']:.4f}")
    ax.set(xlim=(edge_z[0], edge_z[-1]), ylim=(0, None), xlabel="redshift")
    ax.set_yticks([])
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=2, borderpad=0)
    return fig
