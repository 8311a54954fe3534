#!/usr/bin/env python3
"""A contact sheet of training stamps: contact_sheet.py STAMPS.h5 OUT.png [N]. GV left, GI right, brightest first.

Needs numpy, h5py, matplotlib."""
import sys

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LINES = {"[OII]": 3728.5, "Hb": 4862.7, "[OIII]": 5008.2, "Ha": 6564.6, "K": 3934.8, "Mg": 5175.0}
KINDS = ["field", "red", "ELG", "QSO", "star"]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    n = int(sys.argv[3]) if len(sys.argv) > 3 else 24
    with h5py.File(sys.argv[1]) as f:
        snr = f["label/snr_gi_true"][:]
        order = np.argsort(-snr)[:: max(1, len(snr) // n)][:n]
        fig, axes = plt.subplots(len(order), 2, figsize=(16, 0.95 * len(order)), squeeze=False)
        for row, i in enumerate(order):
            z = f["label/z"][i]
            for band in range(2):
                flux = (f["flux"][i, band] - f["scale/zero"][i, band]) * f["scale/quantum"][i, band]
                code = f["variance"][i, band].astype(float)
                sigma = np.exp(0.5 * (f["scale/ln_var_min"][i, band] + f["scale/ln_var_step"][i, band] * (code - 1)))
                shown = np.where(code > 0, flux / sigma, np.nan)
                top = max(4, np.nanpercentile(shown, 99.5)) if np.any(code > 0) else 4
                ax = axes[row, band]
                ax.imshow(shown, origin="lower", aspect="auto", cmap="gray", vmin=-2, vmax=top)
                ax.set_xticks([])
                ax.set_yticks([])
                first, step = f.attrs[f"band{band}_lambda0_a"], f.attrs[f"band{band}_dlambda_a"]
                for name, rest in LINES.items():
                    x = (rest * (1 + z) - first) / step
                    if 0 <= x < 480 and f["label/subtype"][i] != 3:
                        ax.plot([x, x], [-0.5, 2.5], color="red", lw=1)
                        ax.text(x, 36, name, color="yellow", fontsize=6, ha="center", va="top")
            text = f"{KINDS[f['label/subtype'][i]]} z={z:.3f}\nm={f['label/mag'][i]:.1f} SNR={snr[i]:.1f}"
            axes[row, 0].set_ylabel(text, fontsize=6, rotation=0, ha="right", va="center")
        axes[0, 0].set_title("GV", fontsize=8)
        axes[0, 1].set_title("GI", fontsize=8)
        fig.subplots_adjust(left=0.07, right=0.995, top=0.985, bottom=0.005, hspace=0.08, wspace=0.02)
        fig.savefig(sys.argv[2], dpi=90)
    print(f"{sys.argv[2]}: {len(order)} stamps")


if __name__ == "__main__":
    main()
