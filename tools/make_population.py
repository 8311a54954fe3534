#!/usr/bin/env python3
"""Makes a population table for `noslit simulate` (docs/formats.md): magnitudes, redshifts, types and sizes of sources, row by row.

  make_population.py OUT.h5 SOURCE [SOURCE ...]        SOURCE is kind:arguments, comma-separated

  goodss:DATA.hf5,TARGETS.hf5    CANDELS GOODS-S photometry (micro-Jansky; pandas HDF5) with spectroscopic redshifts. Magnitude: F775W.
                                 Types by rest-frame U-V and V-J (Williams et al. 2009); bluest third of the others: emission lines
  desi:ZCATALOG[,N]              DESI zcatalog with FLUX_R, FLUX_Z (nanomaggies) and, if there, DESI_TARGET and SHAPE_R
  nz:FILE.ecsv                   TRACER, ZMIN, ZMAX, N_MEAN (DESI QA): redshifts by type, no magnitudes
  cosmos:CATALOG,FITS            GalSim's COSMOS catalogues: MAG, zphot, half-light radii; types are not known: all field
  csv:FILE,NAME=COLUMN[,...]     any CSV; names z, class and, if known, mag, re (arcsec), weight. class: 0-4 or words such as Elliptical,
                                 Spiral, Starburst, QSO, STAR. E.g. csv:redshifts_derived.csv,z=z_est,class=class

Sources with and without magnitudes cannot be mixed. Needs numpy, astropy and h5py."""
import csv
import os
import sys

import h5py
import numpy as np
from astropy.io import ascii as tables
from astropy.io import fits

FIELD, RED, ELG, QUASAR, STAR = range(5)
COLUMNS = ("class", "z", "mag", "re", "weight")

# Pivot wavelengths, A, of the bands of the GOODS-S table.
PIVOT = {"CTIO_U": 3734, "VIMOS_U": 3722, "ACS_F435W": 4317, "ACS_F606W": 5918, "ACS_F775W": 7693, "ACS_F814W": 8047, "ACS_F850LP": 9055,
         "WFC3_F098M": 9851, "WFC3_F105W": 10550, "WFC3_F125W": 12486, "WFC3_F160W": 15370, "ISAAC_KS": 21605, "HAWKI_KS": 21463,
         "IRAC_CH1": 35508, "IRAC_CH2": 44960, "IRAC_CH3": 57245, "IRAC_CH4": 78840}


def rows(kind, z, mag=None, re=None, weight=None):
    n = len(z)
    nothing = np.full(n, np.nan)
    return {"class": np.asarray(kind), "z": np.asarray(z, float), "mag": nothing if mag is None else np.asarray(mag, float),
            "re": nothing if re is None else np.asarray(re, float), "weight": np.ones(n) if weight is None else np.asarray(weight, float)}


def pandas_table(path):
    """The one block of numbers that pandas' to_hdf writes, by column."""
    with h5py.File(path) as f:
        g = f[next(iter(f))]
        return {n.decode(): g["block0_values"][:, i].astype(float) for i, n in enumerate(g["block0_items"][:])}


def from_goodss(data, targets):
    t, z = pandas_table(data), pandas_table(targets)["Z"]
    bands = [b for b in t if b in PIVOT]
    flux = np.array([t[b] for b in bands])
    wave = np.array([PIVOT[b] for b in bands], dtype=float)
    i_band = next((b for b in ("ACS_F775W", "F775W") if b in t), None)
    if i_band is None:
        sys.exit(f"{data}: no column ACS_F775W; there are {', '.join(t)}")
    order = np.argsort(wave)
    mag = 23.9 - 2.5 * np.log10(np.maximum(t[i_band], 1e-10))

    def rest(k, at):
        good = order[flux[order, k] > 0]
        return np.interp(np.log(at * (1 + z[k])), np.log(wave[good]), np.log10(flux[good, k])) if len(good) > 3 else np.nan

    u, v, j = (np.array([rest(k, at) for k in range(len(z))]) for at in (3650, 5510, 12350))
    uv, vj = 2.5 * (v - u), 2.5 * (j - v)
    red = (uv > 1.3) & (vj < 1.6) & (uv > 0.88 * vj + 0.49)
    blue = ~red & (uv < np.nanquantile(uv[~red], 1 / 3))
    good = (t[i_band] > 0) & (z > 0) & np.isfinite(uv)
    return rows(np.where(red, RED, np.where(blue, ELG, FIELD))[good], z[good], mag[good])


def from_desi(path, most="1000000"):
    with fits.open(path) as h:
        t = next(x.data for x in h if x.name in ("ZCATALOG", "REDSHIFTS", "ZBEST"))
    names = {n.upper(): n for n in t.names}
    need = [c for c in ("Z", "ZWARN", "SPECTYPE", "FLUX_R", "FLUX_Z") if c not in names]
    if need:
        sys.exit(f"{path}: no column {', '.join(need)}")
    spectype = np.char.upper(np.char.strip(np.asarray(t[names["SPECTYPE"]], dtype=str)))
    r, z_flux = (np.asarray(t[names[c]], float) for c in ("FLUX_R", "FLUX_Z"))
    target = np.asarray(t[names["DESI_TARGET"]]) if "DESI_TARGET" in names else np.zeros(len(t), int)
    kind = np.where(spectype == "STAR", STAR, np.where(spectype == "QSO", QUASAR, np.where(target & 1, RED, np.where(target & 2, ELG, FIELD))))
    good = (np.asarray(t[names["ZWARN"]]) == 0) & (r > 0) & (z_flux > 0)
    if "MAIN_PRIMARY" in names or "ZCAT_PRIMARY" in names:
        good &= np.asarray(t[names.get("ZCAT_PRIMARY", names.get("MAIN_PRIMARY"))], bool)
    good &= np.cumsum(good) <= int(most)
    # 6900-8200 A lies between r (6420 A) and z (9260 A): straight line in log wavelength
    part = np.log(7550 / 6420) / np.log(9260 / 6420)
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = 22.5 - 2.5 * ((1 - part) * np.log10(r) + part * np.log10(z_flux))
    re = np.asarray(t[names["SHAPE_R"]], float) if "SHAPE_R" in names else np.full(len(t), np.nan)
    re = np.where(re > 0, re, np.nan)
    return rows(kind[good], np.where(kind == STAR, 0, np.asarray(t[names["Z"]], float))[good], mag[good], re[good])


TRACERS = {"BGS_BRIGHT": FIELD, "BGS_FAINT": FIELD, "BGS": FIELD, "LRG": RED, "ELG": ELG, "ELG_LOP": ELG, "ELG_VLO": ELG, "QSO": QUASAR}


def from_nz(path):
    t = tables.read(path, format="ecsv")
    kind, z, weight = [], [], []
    for row in t:
        if row["TRACER"] in TRACERS and row["N_MEAN"] > 0 and row["ZMAX"] > 0:
            lo = max(row["ZMIN"], 0.0)
            kind += [TRACERS[row["TRACER"]]] * 10
            z += list(lo + (np.arange(10) + 0.5) / 10 * (row["ZMAX"] - lo))
            weight += [row["N_MEAN"] / 10] * 10
    return rows(kind, z, weight=weight)


def from_cosmos(catalog, table):
    base, extra = fits.getdata(catalog, 1), fits.getdata(table, 1)
    column = {n.lower(): n for n in extra.names}
    at = {int(i): k for k, i in enumerate(extra["IDENT"])}
    pairs = [(i, at[int(k)]) for i, k in enumerate(base["IDENT"]) if int(k) in at]
    a, b = (np.array(x) for x in zip(*pairs))
    z = np.asarray(extra[column["zphot"]], float)[b]
    re = np.asarray(extra[column["flux_radius"]], float)[b] * np.asarray(base["PIXEL_SCALE"], float)[a]
    good = (z > 0) & (re > 0)
    return rows(np.full(good.sum(), FIELD), z[good], np.asarray(base["MAG"], float)[a][good], re[good])


def class_of_words(word):
    w = word.strip().lower()
    if w.isdigit():
        return int(w)
    for part, kind in (("qso", QUASAR), ("quasar", QUASAR), ("starburst", ELG), ("hii", ELG), ("elg", ELG), ("ellip", RED), ("lrg", RED),
                       ("red", RED), ("s0", RED)):
        if part in w:
            return kind
    return STAR if w == "star" else FIELD


def from_csv(path, *names):
    column = dict(n.split("=", 1) for n in names)
    if "z" not in column or set(column) - set(COLUMNS):
        sys.exit(f"csv: give z=COLUMN and, if there, {', '.join(c for c in COLUMNS if c != 'z')}")
    table = list(csv.DictReader(open(path)))
    missing = [c for c in column.values() if not table or c not in table[0]]
    if missing:
        sys.exit(f"{path}: no column {', '.join(missing)}")

    def number(name):
        return None if name not in column else [float(r[column[name]] or "nan") for r in table]

    kind = [class_of_words(r[column["class"]]) for r in table] if "class" in column else [FIELD] * len(table)
    found = rows(kind, number("z"), number("mag"), number("re"), number("weight"))
    good = np.isfinite(found["z"]) & (True if "mag" not in column else np.isfinite(found["mag"]))
    return {k: v[good] for k, v in found.items()}


KINDS = {"goodss": from_goodss, "desi": from_desi, "nz": from_nz, "cosmos": from_cosmos, "csv": from_csv}


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    found = []
    for source in sys.argv[2:]:
        kind, _, arguments = source.partition(":")
        if kind not in KINDS:
            sys.exit(f"{source}: the kind must be one of {', '.join(KINDS)}")
        r = KINDS[kind](*arguments.split(","))
        counts = np.bincount(r["class"], minlength=5) if len(r["z"]) else [0] * 5
        print(f"{kind}: {len(r['z'])} rows: {counts[0]} field, {counts[1]} red, {counts[2]} emission lines, {counts[3]} quasars, {counts[4]} stars; "
              f"median z {np.median(r['z']) if len(r['z']) else 0:.3f}, magnitude {np.nanmedian(r['mag']) if np.any(np.isfinite(r['mag'])) else np.nan:.2f}")
        found.append(r)
    table = {c: np.concatenate([r[c] for r in found]) for c in COLUMNS}
    known = np.isfinite(table["mag"])
    if len(known) == 0:
        sys.exit("no rows: nothing written")
    if known.any() and not known.all():
        sys.exit("some sources have magnitudes and some have not: make one table of each. Nothing written")
    temporary = sys.argv[1] + ".tmp"
    with h5py.File(temporary, "w") as f:
        f.attrs["format"] = np.bytes_("noslit-population")
        f.attrs["version"] = np.int64(1)
        f.attrs["source"] = np.bytes_(" ".join(sys.argv[2:])[:60000])
        f["class"] = table["class"].astype("i4")
        for c in COLUMNS[1:]:
            if c != "mag" or known.all():
                f[c] = table[c].astype("f8")
    os.replace(temporary, sys.argv[1])
    print(f"{sys.argv[1]}: {len(known)} rows")


if __name__ == "__main__":
    main()
