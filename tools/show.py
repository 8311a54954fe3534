#!/usr/bin/env python3
"""The object card of `noslit show --png`: PDF of one source, and its stamps (data, variance, expected neighbours) with
wavelength axis and rest-frame lines at the best redshift, when the card has them.

    show.py --card CARD.h5 --out FILE.png"""
import argparse

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

# Vacuum wavelengths in Angstrom (NIST): emission above, absorption below the stamp.
EMISSION = (("[OII]", 3728.6), ("Hγ", 4341.7), ("Hβ", 4862.7), ("", 4960.3), ("[OIII]", 5008.2), ("Hα", 6564.6), ("[SII]", 6718.3),
            ("", 6732.7), ("[SIII]", 9071.1), ("[SIII]", 9533.2))
ABSORPTION = (("K", 3934.8), ("H", 3969.6), ("G", 4305.6), ("Mg", 5176.6), ("Na", 5895.6))
MAIN, TRUTH, GREY = "#d95f02", "#1f5fa8", "#8a8f98"
plt.rcParams.update({"font.size": 9, "figure.constrained_layout.use": True})


def draw_lines(ax, z, lo, hi, label):
    last = -1e9
    for lines, colour, y, va in ((EMISSION, MAIN, 1.0, "bottom"), (ABSORPTION, TRUTH, 0.0, "top")):
        for name, rest in lines:
            wave = rest * (1 + z)
            if lo < wave < hi:
                ax.axvline(wave, color=colour, lw=0.6, ls=":", alpha=0.9)
                if label and name and va == "bottom" and wave - last > 0.04 * (hi - lo):
                    ax.annotate(name, (wave, 1.0), xycoords=("data", "axes fraction"), ha="center", va=va, color=colour, fontsize=8)
                    last = wave


def limits(plane, seen):
    values = plane[seen]
    if not values.size:
        return 0, 1
    lo, hi = np.percentile(values, [3, 99.3])
    return lo, hi if hi > lo else lo + 1


def word(attribute):
    return attribute.decode() if isinstance(attribute, bytes) else attribute


def draw_band(axes, f, band, z):
    wave = f["wavelength"][band]
    step = wave[1] - wave[0]
    lo, hi = wave[0] - step / 2, wave[-1] + step / 2
    seen = f["variance"][band] > 0
    planes = (("data", f["flux"][band]), ("sigma", np.sqrt(f["variance"][band])), ("neighbours", f["contamination"][band]))
    for k, (ax, (name, plane)) in enumerate(zip(axes, planes)):
        low, high = limits(plane, seen) if name != "neighbours" else (0, max(limits(planes[0][1], seen)[1], 1e-6))
        ax.imshow(np.where(seen, plane, np.nan), origin="lower", aspect="auto", cmap="gray_r", vmin=low, vmax=high, interpolation="nearest",
                  extent=(lo, hi, 0, plane.shape[0]))
        ax.set_facecolor("#f6e9d8")  # no data
        ax.set_yticks([])
        ax.text(0.004, 0.93, f"{word(f.attrs[f'band_{band}'])} {name}",
                transform=ax.transAxes, va="top", fontsize=8, bbox={"fc": "w", "ec": "none", "alpha": 0.7, "pad": 1})
        if np.isfinite(z):
            draw_lines(ax, z, lo, hi, k == 0)
        if k < 2:
            ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("wavelength [Å, vacuum]")


def quantiles(pdf, edge, levels):
    """PDF: density in z between edges."""
    cdf = np.concatenate([[0], np.cumsum(pdf * np.diff(edge))])
    return np.interp(levels, cdf / cdf[-1], edge)


def draw_pdf(ax, f, zoom):
    a, edge = f.attrs, f["edge_z"][()]
    ax.stairs(f["pdf"][()], edge, fill=True, color=MAIN, alpha=0.3)
    ax.stairs(f["pdf"][()], edge, color=MAIN, lw=1)
    if np.isfinite(a["z_lo68"]):
        lo, hi = quantiles(f["pdf"][()].astype(float), edge, [0.025, 0.975])
        ax.axvspan(lo, hi, color=GREY, alpha=0.12, lw=0, label=f"95 %: {lo:.4f} – {hi:.4f}")
        ax.axvspan(a["z_lo68"], a["z_hi68"], color=MAIN, alpha=0.12, lw=0, label=f"68 %: {a['z_lo68']:.4f} – {a['z_hi68']:.4f}")
        ax.plot(a["z_mode"], 0, "^", color=MAIN, clip_on=False, ms=8, label=f"mode {a['z_mode']:.4f}")
    if np.isfinite(a["z_true"]):
        ax.axvline(a["z_true"], color=TRUTH, ls="--", lw=1.2, label=f"truth {a['z_true']:.4f}")
    if zoom:
        half = min(max(5 * (a["z_hi68"] - a["z_lo68"]), 0.02), 0.08)
        ax.set(xlim=(a["z_mode"] - half, a["z_mode"] + half))
    else:
        ax.set(xlim=(edge[0], edge[-1]), ylabel="p(z)")
        ax.legend(loc="upper right", frameon=False)
    ax.set(ylim=(0, None), xlabel="redshift")


def heading(a):
    """What the catalogue says, its flags in words, and the exposures (obsid/detector) that may hold the source when they are known."""
    lines = [f"{int(a['object_id'])}   RA {a['ra']:.5f}  Dec {a['dec']:+.5f}   mag {a['mag']:.2f}   SNR GV {a['snr_gv']:.1f}  GI {a['snr_gi']:.1f}   "
             f"odds {a['odds']:.2f}   p_good {a['p_good']:.2f}   contamination {a['contamination']:.2f}",
             f"flags: {word(a['flag_words']).replace(',', ', ') or 'none'}     combined: {int(a['n_exp_gv'])} GV and {int(a['n_exp_gi'])} GI exposures"]
    if "exposures" in a:
        detectors = {}
        for one in filter(None, word(a["exposures"]).split(",")):
            obsid, detector = one.rsplit("/", 1)
            detectors.setdefault(obsid, []).append(detector)
        names = [f"{obsid}/{'+'.join(d)}" for obsid, d in detectors.items()]
        text = "   ".join(names[:8]) + (f"   and {len(names) - 8} more" if len(names) > 8 else "")
        lines.append(f"exposures/detectors: {text}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with h5py.File(args.card, "r") as f:
        a, has_stamp = f.attrs, "flux" in f
        fig = plt.figure(figsize=(11, 6.4 if has_stamp else 3.2))
        grid = fig.add_gridspec(4 if has_stamp else 1, 2, height_ratios=[1, 1, 1, 2.2] if has_stamp else [1])
        if has_stamp:
            for band in range(2):
                draw_band([fig.add_subplot(grid[k, band]) for k in range(3)], f, band, a["z_mode"])
        if np.isfinite(a["z_mode"]):
            draw_pdf(fig.add_subplot(grid[-1, 0]), f, False)
            draw_pdf(fig.add_subplot(grid[-1, 1]), f, True)
        else:
            fig.add_subplot(grid[-1, :], xticks=[], yticks=[]).text(0.5, 0.5, "no PDF", ha="center", va="center")
        fig.suptitle(heading(a), fontsize=10)
        fig.savefig(args.out, dpi=130, format="png")


if __name__ == "__main__":
    main()
