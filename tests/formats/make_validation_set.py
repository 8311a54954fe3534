#!/usr/bin/env python3
"""A catalogue in noslit's layout and a truth table with known properties, for the test of `noslit validate`.

    make_validation_set.py DIR N

writes DIR/catalogue.hdf5, DIR/truth.fits (DESI names), DIR/truth.csv (the same, other names), DIR/position.fits (no identifiers)
and DIR/expected.json: what numpy says about the matched sources. True redshifts are drawn from the PDFs, so these are calibrated."""
import json
import sys

import h5py
import numpy as np
from astropy.table import Table

BINS, U0, DU = 640, 0.01, 0.0015
ORDER = 7


def gauss_cdf(x):
    from scipy.special import ndtr

    return ndtr(x)


def make(n, rng):
    """Columns of the catalogue, PDFs and true redshifts."""
    snr = np.exp(rng.normal(np.log(3.0), 0.8, n)).astype("f4")
    sd = 0.004 / snr + 0.0012
    centre = rng.uniform(np.log1p(0.15), np.log1p(1.45), n)
    other = np.clip(centre + rng.choice([-1, 1], n) * rng.uniform(0.1, 0.3, n), 0.05, 0.93)
    share = np.where(rng.random(n) < 0.3, 0.3 / (1 + snr**2), 0.0)  # second peak: catastrophic failures, fewer at high SNR
    edge = U0 + DU * np.arange(BINS + 1)
    prob = np.empty((n, BINS), "f4")
    for i in range(0, n, 1000):
        s = slice(i, i + 1000)
        c = gauss_cdf((edge - centre[s, None]) / sd[s, None]) * (1 - share[s, None])
        c += gauss_cdf((edge - other[s, None]) / (2 * sd[s, None])) * share[s, None]
        p = np.diff(c, axis=1)
        prob[s] = p / p.sum(1, keepdims=True)
    # the truth, drawn from the PDF
    cdf = np.cumsum(prob.astype("f8"), 1)
    q = rng.random(n) * cdf[:, -1]
    b = np.array([np.searchsorted(c, x) for c, x in zip(cdf, q)])
    before = np.where(b > 0, cdf[np.arange(n), b - 1], 0)
    frac = (q - before) / prob[np.arange(n), b]
    z_edge = np.expm1(edge)
    z_true = z_edge[b] + frac * (z_edge[b + 1] - z_edge[b])
    mid = np.expm1(edge[:-1] + DU / 2)
    peak = prob.argmax(1)
    z_mode = np.empty(n, "f4")
    for i in range(n):
        s = slice(max(0, peak[i] - 5), peak[i] + 6)
        z_mode[i] = np.expm1(np.sum(prob[i, s] * np.log1p(mid[s])) / prob[i, s].sum())
    quant = lambda x: np.array([np.interp(x, np.concatenate([[0], c]), z_edge) for c in cdf / cdf[:, -1:]]).astype("f4")
    near = np.abs(np.log1p(mid)[None, :] - np.log1p(z_mode)[:, None]) < 0.01
    c = {
        "object_id": rng.permutation(n).astype("i8") * 7 + 39627640566453000,
        "ra": (359.0 + rng.uniform(0, 3, n)) % 360,
        "dec": rng.uniform(-1, 2, n),
        "tile": np.zeros(n, "i8"),
        "mag": (22.5 - 2.0 * np.log10(snr) + rng.normal(0, 0.3, n)).astype("f4"),
        "z_mode": z_mode,
        "z_median": quant(0.5),
        "z_mean": (prob @ mid).astype("f4"),
        "z_lo68": quant(0.16),
        "z_hi68": quant(0.84),
        "sigma_epistemic": (0.2 * sd).astype("f4"),
        "sigma_aleatoric": sd.astype("f4"),
        "mutual_info": rng.exponential(0.02, n).astype("f4"),
        "odds": (prob * near).sum(1).astype("f4"),
        "p_good": ((prob * near).sum(1) ** 1.2).astype("f4"),
        "snr_gv": (0.6 * snr * np.exp(rng.normal(0, 0.2, n))).astype("f4"),
        "snr_gi": (snr * np.exp(rng.normal(0, 0.05, n))).astype("f4"),
        "n_exp_gv": rng.integers(1, 5, n).astype("i4"),
        "n_exp_gi": rng.integers(1, 5, n).astype("i4"),
        "coverage_gv": np.ones(n, "f4"),
        "coverage_gi": np.ones(n, "f4"),
        "contamination": np.clip(rng.exponential(0.08, n), 0, 1).astype("f4"),
        "flags": np.zeros(n, "u4"),
        "n_samples": np.full(n, 128, "i4"), "mc_error": np.full(n, 1e-3, "f4"),
    }
    c["flags"] |= np.where(c["contamination"] > 0.2, 1 << 5, 0).astype("u4")
    c["flags"] |= np.where(c["n_exp_gi"] < 2, 1 << 8, 0).astype("u4")
    density = prob / np.diff(z_edge).astype("f4")
    lost = rng.random(n) < 0.02
    c["flags"][lost] |= 1
    density[lost] = 0
    for k in ("z_mode", "z_median", "z_mean", "z_lo68", "z_hi68", "odds", "p_good"):
        c[k][lost] = np.nan
    return c, density, z_true, snr, lost


def write_catalogue(path, c, density):
    n = len(density)
    with h5py.File(path, "w") as f:
        m = f.create_group("meta")
        m.create_dataset("pdf_name", data=np.array([b"hist"]))
        m.create_dataset("pdf_version", data=np.array([0]))
        m.create_dataset("bins", data=np.expm1(U0 + DU * np.arange(BINS + 1))[None, :])
        f.create_dataset("data/pdfs", data=density.astype("f4"), chunks=(min(n, 512), BINS), compression=1, shuffle=True)
        for k, v in c.items():
            f.create_dataset(f"ancil/{k}", data=v)
        f.attrs.update(format=np.bytes_("noslit-catalogue"), version=3, complete=1, order=ORDER, n_rows=n, n_tiles=1,
                       n_tiles_left_out=0, pdf_n=BINS, pdf_u0=U0, pdf_du=DU)
        for k in ("content_hash", "config_hash", "model_hash", "instrument_hash", "plan_hash"):
            f.attrs[k] = np.bytes_("0" * 32)


def write_as_surveys_do(outdir, t, good, rng):
    """The same redshifts as DESI's zall-pix, a redrock file, and SDSS's spAll lay them out (facts A4.2, A4.3)."""
    from astropy.io import fits

    n = len(t)
    zall = Table({"TARGETID": t["TARGETID"], "SURVEY": np.full(n, "main"), "PROGRAM": np.full(n, "dark"), "HEALPIX": np.arange(n) % 900, "Z": t["Z"],
                  "ZERR": np.full(n, 1e-5), "ZWARN": t["ZWARN"], "CHI2": rng.uniform(7000, 9000, n), "COEFF": rng.normal(size=(n, 10)),
                  "NPIXELS": np.full(n, 7900), "SPECTYPE": t["SPECTYPE"], "SUBTYPE": np.full(n, ""), "NCOEFF": np.full(n, 10),
                  "DELTACHI2": rng.uniform(10, 900, n), "TARGET_RA": t["TARGET_RA"], "TARGET_DEC": t["TARGET_DEC"], "ZCAT_NSPEC": np.ones(n, "i2"),
                  "ZCAT_PRIMARY": t["ZCAT_PRIMARY"]})
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(zall, name="ZCATALOG")])
    hdus.writeto(f"{outdir}/zall-pix.fits", overwrite=True)
    redrock = zall["TARGETID", "CHI2", "COEFF", "Z", "ZERR", "ZWARN", "NPIXELS", "SPECTYPE", "SUBTYPE", "NCOEFF", "DELTACHI2"][t["ZCAT_PRIMARY"]]
    fibers = zall["TARGETID", "TARGET_RA", "TARGET_DEC"][t["ZCAT_PRIMARY"]]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(redrock, name="REDSHIFTS"), fits.BinTableHDU(fibers, name="FIBERMAP"),
                  fits.BinTableHDU(Table({"TARGETID": np.repeat(fibers["TARGETID"], 2)}), name="EXP_FIBERMAP")]).writeto(f"{outdir}/redrock.fits", overwrite=True)
    spall = Table({"SURVEY": np.full(n, "eboss"), "PLATE": np.full(n, 7000, "i4"), "MJD": np.full(n, 57000, "i4"), "FIBERID": np.arange(n, dtype="i4") % 1000,
                   "SPECPRIMARY": np.asarray(t["ZCAT_PRIMARY"]).astype("u1"), "CLASS": t["SPECTYPE"], "Z": t["Z"].astype("f4"), "Z_ERR": np.full(n, 1e-4, "f4"),
                   "ZWARNING": t["ZWARN"].astype("i4"), "RCHI2DIFF": rng.uniform(0.01, 2, n).astype("f4"), "PLUG_RA": t["TARGET_RA"],
                   "PLUG_DEC": t["TARGET_DEC"], "THETA": rng.normal(size=(n, 4)).astype("f4")})
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(spall)]).writeto(f"{outdir}/spAll.fits", overwrite=True)


def main(outdir, n):
    rng = np.random.default_rng(20)
    c, density, z_true, snr, lost = make(n, rng)
    write_catalogue(f"{outdir}/catalogue.hdf5", c, density)
    keep = np.sort(rng.permutation(n)[: int(0.9 * n)])
    rng.shuffle(keep)
    kind = rng.choice(["GALAXY", "STAR", "QSO"], len(keep), p=[0.96, 0.03, 0.01])
    zwarn = np.where(rng.random(len(keep)) < 0.03, 4, 0)
    primary = rng.random(len(keep)) < 0.97
    stranger = 50  # truth rows that the catalogue does not have
    col = lambda a, extra: np.concatenate([a, extra])
    jitter = 0.1 / 3600
    t = Table()
    t["TARGETID"] = col(c["object_id"][keep], np.arange(stranger))
    t["TARGET_RA"] = col(c["ra"][keep] + rng.normal(0, jitter, len(keep)), rng.uniform(100, 110, stranger)) % 360
    t["TARGET_DEC"] = col(c["dec"][keep] + rng.normal(0, jitter, len(keep)), rng.uniform(30, 40, stranger))
    t["Z"] = col(z_true[keep], np.full(stranger, 0.5))
    t["ZWARN"] = col(zwarn, np.zeros(stranger, int))
    t["ZCAT_PRIMARY"] = col(primary, np.ones(stranger, bool))
    t["SPECTYPE"] = col(kind, np.full(stranger, "GALAXY"))
    t["SNR_GI"] = col(snr[keep], np.full(stranger, 1.0)).astype("f4")
    t["SHAPE_R"] = rng.lognormal(-1.2, 0.4, len(t)).astype("f4")
    t.write(f"{outdir}/truth.fits", overwrite=True)
    good = np.concatenate([(kind == "GALAXY") & (zwarn == 0) & primary, np.ones(stranger, bool)])
    csv = t[good]["TARGETID", "Z"]
    csv.rename_columns(["TARGETID", "Z"], ["name_of_it", "redshift_of_it"])
    csv.write(f"{outdir}/truth.csv", format="csv", overwrite=True)
    t["TARGET_RA", "TARGET_DEC", "Z"][good].write(f"{outdir}/position.fits", overwrite=True)

    write_as_surveys_do(outdir, t, good, rng)

    used = keep[good[: len(keep)]]
    ok = used[~lost[used]]
    expected = {"n_truth": int(good.sum()), "matched": len(used), "n": len(ok), "zwarn": int((zwarn != 0).sum()), "cuts": {}}
    for cut in (0, 1, 3, 5, 10):
        s = ok[snr[ok] >= cut]
        dz = c["z_mode"][s].astype("f8") - z_true[s]
        e = dz / (1 + z_true[s])
        expected["cuts"]["all" if not cut else f"snr_gi>={cut}"] = {
            "n": len(s),
            "sigma_nmad": 1.48 * np.median(np.abs(dz - np.median(dz)) / (1 + z_true[s])),
            "bias": np.median(e),
            "outlier_0.02": np.mean(np.abs(e) > 0.02),
        }
    json.dump(expected, open(f"{outdir}/expected.json", "w"), indent=1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
