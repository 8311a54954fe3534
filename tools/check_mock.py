#!/usr/bin/env python3
"""Checks a simulated survey against a calculation that shares no code with noslit: check_mock.py SURVEY_DIR INSTRUMENT.yaml

Reads exposures, catalogue and truth with astropy, and the aXe conf with its own parser. Prints a table and ends with 1 if a check fails:
AB zero points and sky (from the sensitivities), noise against ERR, mean sky of the frames, light on the traces of stars
against their magnitudes, number counts, SNR against a calculation from the magnitude. Needs numpy and astropy."""
import glob
import os
import re
import sys

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

failed = False


def check(name, found, asked, ok):
    global failed
    failed |= not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name:52s} found {found:>12s}   asked {asked}")


def read_conf(path):
    """Beams of an aXe file: {name: {key: coefficients}}."""
    beams = {}
    for line in open(path):
        words = line.split("#")[0].split()
        if not words:
            continue
        m = re.fullmatch(r"(BEAM|XOFF_|YOFF_|DYDX_|DLDP_|SENSITIVITY_)([A-H])(?:_(\d))?", words[0])
        if m:
            key = m.group(1) + (m.group(3) or "")
            beams.setdefault(m.group(2), {})[key] = words[1] if m.group(1) == "SENSITIVITY_" else [float(w) for w in words[1:]]
    return beams


def field(c, x, y):
    terms = [1, x, y, x * x, x * y, y * y]
    return sum(a * t for a, t in zip(c, terms))


def instrument(path):
    """Detectors and bands out of the file; only what is needed, by regular expressions."""
    text = open(path).read()
    bands = {}
    for m in re.finditer(r"\{name: (\w+), lambda0_a: ([\d.]+), dlambda_a: ([\d.]+), lambda_min_a: ([\d.]+), lambda_max_a: ([\d.]+)", text):
        bands[m.group(1)] = [float(v) for v in m.groups()[1:]]
    detectors = {}
    for m in re.finditer(r"\{id: (\d+), band: (\w+), nx: (\d+), ny: (\d+)(.*?)\]\}", text, re.S):
        gratings = re.findall(r"columns: \[(-?[\d.]+), (-?[\d.]+)\], conf: ([\w./]+)", m.group(5))
        detectors[int(m.group(1))] = (m.group(2), [(float(a), float(b), c) for a, b, c in gratings])
    return bands, detectors


C_A = 2.99792458e18
SKY = np.array([[2500, .20], [3000, 1.88], [3500, 3.36], [4000, 7.24], [4500, 7.85], [5000, 7.34], [5500, 7.88], [6000, 7.66],
                [6500, 6.85], [7000, 6.36], [7500, 5.89], [8000, 5.40], [8500, 4.71], [9000, 4.33], [9500, 3.98], [10000, 3.69],
                [10500, 3.45]])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    survey, inst_path = sys.argv[1:3]
    folder = os.path.dirname(os.path.abspath(inst_path))
    bands, detectors = instrument(inst_path)
    confs = {}
    for _, gratings in detectors.values():
        for _, _, c in gratings:
            confs[c] = read_conf(os.path.join(folder, c))
    curves = {}
    for c, beams in confs.items():
        t = fits.getdata(os.path.join(folder, os.path.dirname(c), beams["A"]["SENSITIVITY_"]), 1)
        curves[c] = np.array(t["WAVELENGTH"], float), np.array(t["SENSITIVITY"], float)
    grid = np.arange(2500.0, 11000.0, 1.0)
    asked = {"GV": (26.23, 0.314), "GI": (26.11, 0.458)}
    rate_of_sky = {}
    for band, (zero, sky) in asked.items():
        c = next(g[0][2] for b, g in detectors.values() if b == band)
        s = np.interp(grid, *curves[c], left=0, right=0)
        rate = np.sum(s * 10 ** (-0.4 * 48.6) * C_A / grid**2)
        check(f"AB zero point {band}", f"{2.5 * np.log10(rate):.3f}", f"{zero} within 2 %", abs(rate / 10 ** (0.4 * zero) - 1) < 0.02)
        rate_of_sky[band] = np.sum(s * 1e-18 * np.interp(grid, *SKY.T)) * 0.074**2
        check(f"sky {band}, e-/s/px", f"{rate_of_sky[band]:.3f}", f"{sky} within 4 %", abs(rate_of_sky[band] / sky - 1) < 0.04)

    truth = fits.getdata(os.path.join(survey, "truth.fits"), 1)
    catalogue = fits.getdata(os.path.join(survey, "catalogue.fits"), 1)
    check("catalogue and truth have the same sources", str(len(truth)), str(len(catalogue)),
          np.array_equal(truth["TARGETID"], catalogue["ID"]))
    ratios, skies, scatters = [], {b: [] for b in asked}, []
    for path in sorted(glob.glob(os.path.join(survey, "exposures", "*.fits"))):
        with fits.open(path) as h:
            det = int(h[0].header["DETECTOR"])
            exptime = h[0].header["EXPTIME"]
            band, gratings = detectors[det]
            sci, err, dq = h["SCI"].data.astype(float), h["ERR"].data.astype(float), h["DQ"].data
            wcs = WCS(h["SCI"].header)
        if band not in asked:
            continue
        good = dq == 0
        middle = np.median(sci[good])
        low = good & (np.abs(sci - middle) < 2.0 * err)
        skies[band].append(sci[low].mean())
        block = sci[: sci.shape[0] // 16 * 16, : sci.shape[1] // 16 * 16].reshape(sci.shape[0] // 16, 16, -1, 16)
        # differences of neighbouring pixels in the quietest blocks: no light of sources, no structure
        level = block.mean(axis=(1, 3))
        quiet = np.argwhere(level < np.percentile(level, 25))
        d = np.concatenate([np.diff(block[j, :, i, :], axis=1).ravel() for j, i in quiet])
        e = np.concatenate([err[16 * j : 16 * j + 16, 16 * i : 16 * i + 16].ravel() for j, i in quiet])
        scatters.append(np.diff(np.percentile(d, [15.87, 84.13]))[0] / 2 / np.sqrt(2) / np.sqrt(np.mean(e**2)))
        x, y = wcs.all_world2pix(truth["TARGET_RA"], truth["TARGET_DEC"], 1)
        # point sources: galaxies have wings beyond any window
        star = np.char.strip(truth["SPECTYPE"].astype(str)) == "STAR"
        bright = np.flatnonzero(star & (truth["MAG"] > 16) & (truth["MAG"] < 20.5) & (truth["CONTAMINATION"] < 0.2))
        for i in bright:
            conf = next((c for a, b, c in gratings if a <= x[i] < b), None)
            if conf is None or band != "GI":
                continue
            beam = confs[conf]["A"]
            x0, y0 = x[i] + field(beam["XOFF_"], x[i], y[i]), y[i] + field(beam["YOFF_"], x[i], y[i])
            dx = np.arange(np.ceil(beam["BEAM"][0]), beam["BEAM"][1])
            dy = sum(field(beam[f"DYDX_{k}"], x[i], y[i]) * dx**k for k in range(2) if f"DYDX_{k}" in beam)
            slope = field(beam["DYDX_1"], x[i], y[i]) if "DYDX_1" in beam else 0
            path_length = dx * np.hypot(1, slope)
            lam = sum(field(beam[f"DLDP_{k}"], x[i], y[i]) * path_length**k for k in range(3) if f"DLDP_{k}" in beam)
            col = np.round(x0 + dx).astype(int) - 1
            row = np.round(y0 + dy).astype(int) - 1
            inside = (lam > 6900) & (lam < 8200)
            if inside.sum() < 100 or col[inside].min() < 40 or col[inside].max() >= sci.shape[1] or row.min() < 40 or row.max() >= sci.shape[0] - 40:
                continue
            light, expected = 0.0, 0.0
            for c, r, l in zip(col[inside], row[inside], lam[inside]):
                window = sci[r - 30 : r + 31, c]
                side = np.median(np.concatenate([sci[r - 40 : r - 32, c], sci[r + 33 : r + 41, c]]))
                mask = dq[r - 30 : r + 31, c] == 0
                light += np.sum((window - side)[mask]) * 61 / max(mask.sum(), 1)
                step = abs(lam[1] - lam[0])
                expected += np.interp(l, *curves[conf]) * 10 ** (-0.4 * (truth["MAG"][i] + 48.6)) * C_A / l**2 * step
            ratios.append(light / expected)
    for band in asked:
        if skies[band]:
            found = np.mean(skies[band])
            check(f"sky of the frames {band}, e-/s/px", f"{found:.3f}", f"{rate_of_sky[band]:.3f} (+ faint light) within 6 %",
                  abs(found / rate_of_sky[band] - 1) < 0.06)
    check("scatter of neighbouring pixels over ERR", f"{np.mean(scatters):.4f}", "1 within 2 %", abs(np.mean(scatters) - 1) < 0.02)
    if len(ratios) >= 3:
        found = np.median(ratios)
        check(f"light of {len(ratios)} stars over that of their magnitudes", f"{found:.3f}", "1 within 5 %", abs(found - 1) < 0.05)
    galaxies = truth[np.char.strip(truth["SPECTYPE"].astype(str)) == "GALAXY"]
    counts, edges = np.histogram(galaxies["MAG"], bins=np.arange(19.0, 22.01, 0.5))
    if counts.min() > 0 and counts.sum() > 60:
        slope, cov = np.polyfit(0.5 * (edges[1:] + edges[:-1]), np.log10(counts), 1, w=np.sqrt(counts), cov=True)
        check("slope of number counts, dex per mag", f"{slope[0]:.3f}", "0.35 within 3 sigma", abs(slope[0] - 0.35) < max(3 * cov[0, 0] ** 0.5, 0.08))
    seen = galaxies[(galaxies["N_EXP_GI"] > 0)]
    quartiles = np.percentile(seen["SNR_GI"], [25, 50, 75])
    at_21 = seen[np.abs(seen["MAG"] - 21) < 0.25]
    print(f"     SNR_GI quartiles {quartiles.round(2)}; at mag 21: {np.median(at_21['SNR_GI']) if len(at_21) else np.nan:.2f}; "
          f"above 1, 3, 10: {[round(float(np.mean(seen['SNR_GI'] > v)), 2) for v in (1, 3, 10)]}")
    for name in ("WAVE_ERROR_PX", "TRACE_ERROR_PX", "PSF_ERROR", "SKY_ERROR", "ASTROMETRIC_ERROR"):
        v = truth[name][truth["N_EXP_GI"] > 0]
        print(f"     {name}: rms {np.sqrt(np.mean(v**2)):.4f}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
