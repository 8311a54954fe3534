#!/usr/bin/env python3
"""Makes a spectrum library for `noslit simulate` (docs/formats.md) out of what astronomers have.

  make_library.py OUT.h5 SOURCE [SOURCE ...]        SOURCE is kind:arguments, comma-separated

  redrock:TEMPLATES,ZCATALOG[,N]   rrtemplate-GALAXY PCA vectors times the COEFF column of a DESI zcatalog or redrock file
  desi:COADD,REDSHIFTS             DESI coadd or spectra file, bands joined, brought to the rest frame by a redrock file's Z
  columns:CLASS,FILE[,FILE ...]    two columns, wavelength in vacuum Angstrom and F_lambda (FSPS, eazy); class 0 field, 1 red, 2 lines
  atlas:FOLDER,TABLE               Kinney-Calzetti atlas of kcorrect: 1-D images in air; TABLE gives redshift and equivalent widths
  kc96:FOLDER                      Kinney-Calzetti templates: tables WAVELENGTH, FLUX, air
  desisim:FILE                     DESI basis templates (FLUX, WAVE); taken as red galaxies without lines
  archetypes:FILE                  redrock archetypes

Needs numpy, astropy and h5py."""
import csv
import glob
import json
import os
import sys

import h5py
import numpy as np
from astropy.io import fits

FIELD, RED, ELG, QUASAR, STAR = range(5)
GRID = np.arange(1100.0, 11600.0, 2.0)


def air_to_vacuum(air):
    """Ciddor's inverse as Morton (2000) and VALD use it; below 2000 A wavelengths are in vacuum by custom."""
    s2 = (1e4 / air) ** 2
    n = 1 + 8.336624212083e-5 + 0.02408926869968 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2)
    return np.where(air > 2000, air * n, air)


def to_grid(wave, flux):
    """Mean over each grid step (edges of the cumulative integral), ends continued as constants."""
    good = np.isfinite(flux) & np.isfinite(wave)
    wave, flux = wave[good], flux[good]
    order = np.argsort(wave, kind="stable")
    wave, flux = wave[order], flux[order]
    keep = np.concatenate([[True], np.diff(wave) > 0])
    wave, flux = wave[keep], flux[keep]
    edges = np.concatenate([GRID - 1.0, [GRID[-1] + 1.0]])
    # the integral of a piecewise linear function is quadratic: resample finely first where the input is coarser than the grid
    fine = np.union1d(wave, edges[(edges > wave[0]) & (edges < wave[-1])])
    fine_flux = np.interp(fine, wave, flux)
    total = np.concatenate([[0], np.cumsum(0.5 * (fine_flux[1:] + fine_flux[:-1]) * np.diff(fine))])
    at = np.interp(edges, fine, total, left=0, right=total[-1])
    mean = np.diff(at) / 2.0
    ends = max(10, len(flux) // 200)
    gap = np.concatenate([[False], np.diff(wave) > 100])  # a hole is bridged by its neighbourhood, not by its last noisy pixel
    for k in np.flatnonzero(gap):
        inside = (GRID > wave[k - 1]) & (GRID < wave[k])
        mean[inside] = np.median(flux[max(0, k - ends) : k + ends])
    mean[GRID - 1 < wave[0]] = np.median(flux[:ends])
    mean[GRID + 1 > wave[-1]] = np.median(flux[-ends:])
    return np.maximum(mean, 0)


def equivalent_width(flux, line):
    """Rest-frame emission equivalent width, A, of a spectrum on the grid."""
    on = np.abs(GRID - line) < 30
    side = (np.abs(GRID - line) > 40) & (np.abs(GRID - line) < 90)
    level = np.median(flux[side])
    return np.sum(flux[on] / level - 1) * 2.0 if level > 0 else 0.0


def class_of(flux):
    """By H alpha and the 4000 A break."""
    d4000 = flux[(GRID > 4000) & (GRID < 4100)].mean() / max(flux[(GRID > 3850) & (GRID < 3950)].mean(), 1e-30) * (4050 / 3900) ** 2
    ha = equivalent_width(flux, 6564.6)
    return ELG if ha > 70 else RED if ha < 8 and d4000 > 1.45 else FIELD


def from_redrock(templates, zcatalog, most="10000"):
    with fits.open(templates) as h:
        basis = h["BASIS_VECTORS"].data if "BASIS_VECTORS" in h else h[0].data
        header = (h["BASIS_VECTORS"] if "BASIS_VECTORS" in h else h[0]).header
        wave = header["CRVAL1"] + header["CDELT1"] * np.arange(basis.shape[1])
        if header.get("LOGLAM", 0):
            wave = 10**wave
    with fits.open(zcatalog) as h:
        table = next(x.data for x in h if x.name in ("ZCATALOG", "REDSHIFTS", "ZBEST"))
    spectype = np.char.strip(np.asarray(table["SPECTYPE"], dtype=str))
    rows = np.flatnonzero((spectype == "GALAXY") & (table["ZWARN"] == 0))[: int(most)]
    for i in rows:
        flux = to_grid(wave, np.asarray(table["COEFF"][i][: basis.shape[0]], dtype=float) @ basis)
        yield class_of(flux), 1, flux, f"redrock {table['TARGETID'][i]}"


def from_desi(coadd, redshifts):
    with fits.open(redshifts) as h:
        table = next(x.data for x in h if x.name in ("REDSHIFTS", "ZCATALOG", "ZBEST"))
    z_of = {int(t): float(z) for t, z, w in zip(table["TARGETID"], table["Z"], table["ZWARN"]) if w == 0}
    with fits.open(coadd) as h:
        ids = h["FIBERMAP"].data["TARGETID"]
        for i, target in enumerate(ids):
            if int(target) not in z_of:
                continue
            wave = np.concatenate([h[f"{b}_WAVELENGTH"].data for b in "BRZ"])
            flux = np.concatenate([h[f"{b}_FLUX"].data[i] for b in "BRZ"]).astype(float)
            ivar = np.concatenate([h[f"{b}_IVAR"].data[i] for b in "BRZ"])
            rest = wave / (1 + z_of[int(target)])
            if rest[0] > 5400 or rest[-1] < 5600:
                continue
            flux = to_grid(rest[ivar > 0], flux[ivar > 0])
            yield class_of(flux), 1, flux, f"DESI {target}"


def from_columns(kind, *files):
    for path in files:
        wave, flux = np.loadtxt(path, usecols=(0, 1), unpack=True)
        flux = to_grid(wave, flux)
        yield (class_of(flux) if kind == "auto" else int(kind)), int(equivalent_width(flux, 6564.6) > 5), flux, os.path.basename(path)


def from_atlas(folder, table):
    for row in csv.DictReader(open(table)):
        if row["usable"] != "1":
            continue
        with fits.open(os.path.join(folder, row["name"] + ".fits")) as h:
            head, flux = h[0].header, h[0].data.astype(float)
        wave = head["CRVAL1"] + (np.arange(len(flux)) + 1 - head["CRPIX1"]) * head["CDELT1"]
        rest = air_to_vacuum(wave) / (1 + float(row["z_est"]))
        good = flux > 0
        if good.sum() < 100 or rest[good][0] > 5400 or rest[good][-1] < 5600:
            continue
        flux = to_grid(rest[good], flux[good])
        yield class_of(flux), 1, flux, f"Calzetti atlas {row['name']}"


def from_kc96(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*_template.fits"))):
        data = fits.getdata(path, 1)
        flux = to_grid(air_to_vacuum(data["WAVELENGTH"].astype(float)), data["FLUX"].astype(float))
        yield class_of(flux), 1, flux, os.path.basename(path)


def from_desisim(path):
    with fits.open(path) as h:
        wave = h["WAVE"].data.astype(float)
        for i, flux in enumerate(h[0].data.astype(float)):
            yield RED, 0, to_grid(wave, flux), f"{os.path.basename(path)} {i}"


def from_archetypes(path):
    with fits.open(path) as h:
        data, head = h["ARCHETYPES"].data, h["ARCHETYPES"].header
        for i in range(len(data)):
            flux = np.asarray(data["ARCHETYPE"][i], dtype=float)
            wave = head.get("CRVAL1", 1228.0701754386) + head.get("CDELT1", 0.2) * np.arange(len(flux))
            if head.get("LOGLAM", 0):
                wave = 10**wave
            on_grid = to_grid(wave, flux)
            yield class_of(on_grid), 1, on_grid, f"{os.path.basename(path)} {data['SUBTYPE'][i]}"


KINDS = {
    "redrock": from_redrock, "desi": from_desi, "columns": from_columns, "atlas": from_atlas, "kc96": from_kc96,
    "desisim": from_desisim, "archetypes": from_archetypes,
}


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    spectra = []
    for source in sys.argv[2:]:
        kind, _, arguments = source.partition(":")
        if kind not in KINDS:
            sys.exit(f"{source}: the kind must be one of {', '.join(KINDS)}")
        found = [s for s in KINDS[kind](*arguments.split(","))]
        at = (GRID > 5400) & (GRID < 5600)
        middle = (GRID > 4000) & (GRID < 7000)
        usable = [s for s in found if np.all(np.isfinite(s[2])) and s[2][at].mean() > 0 and np.mean(s[2][middle] <= 0) < 0.01]
        counts = np.bincount([s[0] for s in usable], minlength=5) if usable else [0] * 5
        print(f"{kind}: {len(usable)} of {len(found)} spectra: {counts[0]} field, {counts[1]} red, {counts[2]} emission lines")
        spectra += usable
    if not spectra:
        sys.exit("no spectra: nothing written")
    flux = np.array([s[2] / s[2][(GRID > 5400) & (GRID < 5600)].mean() for s in spectra], dtype="f4")
    temporary = sys.argv[1] + ".tmp"
    with h5py.File(temporary, "w") as f:
        f.attrs["format"] = np.bytes_("noslit-spectra")
        f.attrs["version"] = np.int64(1)
        f.attrs["source"] = np.bytes_(json.dumps([s[3] for s in spectra])[:60000])
        f["wavelength"] = GRID
        f.create_dataset("flux", data=flux, chunks=(1, len(GRID)), compression="gzip", shuffle=True)
        f["class"] = np.array([s[0] for s in spectra], dtype="i4")
        f["lines"] = np.array([s[1] for s in spectra], dtype="i4")
    os.replace(temporary, sys.argv[1])
    print(f"{sys.argv[1]}: {len(spectra)} spectra")


if __name__ == "__main__":
    main()
