#!/usr/bin/env python3
"""n(z) from a noslit catalogue: sum of the PDFs of well measured sources. Usage: nz.py catalogue.hdf5 nz.png"""
import sys

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

BLOCK = 100_000  # rows at a time: the catalogue may be larger than memory

with h5py.File(sys.argv[1], "r") as f:
    edge = f["meta/bins"][0]
    width = np.diff(edge)
    total, n = np.zeros(len(width)), 0
    for first in range(0, len(f["data/pdfs"]), BLOCK):
        rows = slice(first, first + BLOCK)
        keep = (f["ancil/flags"][rows] & 1 == 0) & (f["ancil/odds"][rows] > 0.8)  # bit 0: no PDF
        total += f["data/pdfs"][rows][keep].sum(axis=0) * width  # density to probability
        n += keep.sum()

plt.stairs(total / total.sum() / width if n else total, edge, fill=True, alpha=0.5)
plt.xlabel("redshift")
plt.ylabel("n(z)")
plt.title(f"{n} sources with odds > 0.8")
plt.savefig(sys.argv[2], dpi=150)
