#!/usr/bin/env python3
"""Fits Sersic profiles by mixtures of round Gaussians and prints src/model/sersic_table.c's numbers.

The widths (in units of the half-light radius) are the same for every index n, so that weights can be interpolated in n.
Weights are non-negative, sum to 1 and minimise the error of the enclosed light; the largest error per n is printed
as a comment. Usage: fit_sersic_mixture.py > table
"""
import numpy as np
from scipy.optimize import nnls
from scipy.special import gammainc, gammaincinv

INDEXES = [0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0]
SIGMA_GAUSS = 1.0 / np.sqrt(2 * np.log(2))  # of the n = 0.5 profile, which is a Gaussian
WIDTHS = SIGMA_GAUSS * 1.75 ** np.arange(-6.0, 5.0)
RADII = np.concatenate([[0.0], np.geomspace(0.03, 12.0, 160)])  # where the enclosed light is compared


def enclosed_sersic(n, r):
    b = gammaincinv(2 * n, 0.5)
    return gammainc(2 * n, b * r ** (1.0 / n))


def enclosed_gauss(sigma, r):
    return 1.0 - np.exp(-0.5 * (r / sigma) ** 2)


def main():
    print(f"/* widths / half-light radius */\n{{{', '.join(f'{w:.6f}' for w in WIDTHS)}}},")
    for n in INDEXES:
        a = np.array([enclosed_gauss(w, RADII) for w in WIDTHS]).T
        y = enclosed_sersic(n, RADII)
        heavy = 1e3  # the sum of weights is 1
        x, _ = nnls(np.vstack([a, heavy * np.ones(len(WIDTHS))]), np.concatenate([y, [heavy]]))
        x /= x.sum()
        inside = RADII <= 6
        worst = np.abs(a @ x - y)
        print(f"/* n = {n}: enclosed light to {worst[inside].max():.4f} inside 6 re, {worst.max():.4f} inside 12 re */")
        print(f"{{{', '.join(f'{v:.6f}' for v in x)}}},")


if __name__ == "__main__":
    main()
