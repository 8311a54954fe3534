"""Checks of catalogue.sh with an eye other than noslit's own. Usage: catalogue.py layout|fits|qp|diff|moved FILE..."""
import json
import sys

import h5py
import numpy as np

COLUMNS = {"object_id": "i8", "ra": "f8", "dec": "f8", "tile": "i8", "mag": "f4", "z_mode": "f4", "z_median": "f4", "z_mean": "f4",
           "z_lo68": "f4", "z_hi68": "f4", "sigma_epistemic": "f4", "sigma_aleatoric": "f4", "mutual_info": "f4", "odds": "f4", "p_good": "f4",
           "snr_gv": "f4", "snr_gi": "f4", "n_exp_gv": "i4", "n_exp_gi": "i4", "coverage_gv": "f4", "coverage_gi": "f4",
           "contamination": "f4", "flags": "u4", "n_samples": "i4", "mc_error": "f4"}


def layout(path):
    with h5py.File(path, "r") as f:
        assert sorted(f) == ["ancil", "data", "meta"] and sorted(f["meta"]) == ["bins", "pdf_name", "pdf_version"], list(f)
        assert list(f["data"]) == ["pdfs"] and sorted(f["ancil"]) == sorted(COLUMNS)
        name, version, bins, pdfs = f["meta/pdf_name"], f["meta/pdf_version"], f["meta/bins"], f["data/pdfs"]
        kind = name.id.get_type()
        assert name.shape == (1,) and kind.get_size() == 4 and kind.get_strpad() == h5py.h5t.STR_NULLPAD and name[0] == b"hist"
        assert not kind.is_variable_str() and kind.get_cset() == h5py.h5t.CSET_ASCII
        assert version.shape == (1,) and version.dtype == "<i8" and version[0] == 0
        n, nb = pdfs.shape
        assert bins.shape == (1, nb + 1) and bins.dtype == "<f8" and pdfs.dtype == "<f4" and n == 1130
        edges = bins[0]
        steps = np.diff(np.log1p(edges))
        assert np.all(steps > 0) and np.allclose(steps, f.attrs["pdf_du"], rtol=1e-10) and np.isclose(np.log1p(edges[0]), f.attrs["pdf_u0"])
        for column, dtype in COLUMNS.items():
            d = f["ancil"][column]
            assert d.shape == (n,) and d.dtype == np.dtype("<" + dtype), column
            assert d.chunks is None and d.compression is None and d.id.get_offset() > 0, column
            assert isinstance(d.attrs["unit"], str) and d.attrs["ucd"] and d.attrs["description"], column
        assert pdfs.chunks == (16, nb) and pdfs.shuffle and pdfs.compression == "gzip"
        a = {c: f["ancil"][c][:] for c in COLUMNS}
        assert np.array_equal(np.lexsort((a["object_id"], a["tile"])), np.arange(n))
        area = (pdfs[:] * np.diff(edges)).sum(axis=1)
        no_pdf = (a["flags"] & 1).astype(bool)
        assert no_pdf.sum() > 20 and np.all(area[no_pdf] == 0) and np.all(np.isnan(a["z_mode"][no_pdf]))
        assert np.allclose(area[~no_pdf], 1, atol=1e-5)
        mean = (pdfs[:] * np.diff(edges) * np.exp(f.attrs["pdf_u0"] + f.attrs["pdf_du"] * (np.arange(nb) + 0.5))).sum(axis=1) - 1
        assert np.allclose(mean[~no_pdf], a["z_mean"][~no_pdf], atol=2e-3)
        for key in ("format", "config", "content_hash", "model_hash", "merge_version", "merge_host", "merge_date"):
            assert isinstance(f.attrs[key], str) and f.attrs[key], key
        content = f.attrs["content_hash"]
    stem = path[: -len(".hdf5")]
    summary = json.load(open(stem + ".summary.json"))
    assert summary["rows"] == n and summary["hashes"]["content"] == content and not summary["partial"]
    assert summary["flags"]["no_pdf"] == no_pdf.sum() and summary["with_pdf"] == (~no_pdf).sum()
    assert abs(sum(summary["nz"]["pdf_stack"]) - (~no_pdf).sum()) < 0.01
    counts, _ = np.histogram(a["z_mode"][~no_pdf].astype(float), bins=np.arange(201) * 0.01)
    assert np.abs(np.array(summary["nz"]["z_mode"]) - counts).sum() <= 2, "n(z) of z_mode"
    assert sum(summary["snr"]["snr_gi"]) == n
    with h5py.File(stem + ".tiles.h5", "r") as f:
        assert f.attrs["content_hash"].decode() == content and f["n_rows"][:].sum() == n and len(f["tile"]) == 10
        tiles, counts = np.unique(a["tile"], return_counts=True)
        assert dict(zip(tiles, counts)) == {t: k for t, k in zip(f["tile"][:], f["n_rows"][:]) if k}


def fits(path, table):
    try:
        from astropy.io import fits as io
        from astropy.io.votable.ucd import parse_ucd
    except ImportError:
        print("no astropy: FITS export not checked")
        return
    with io.open(table) as hdus, h5py.File(path, "r") as f:
        hdus.verify("exception")
        t = hdus["CATALOGUE"]
        assert t.columns.names == list(COLUMNS), t.columns.names
        for i, column in enumerate(COLUMNS, 1):
            want = f["ancil"][column]
            assert np.array_equal(t.data[column], want[:], equal_nan=want.dtype.kind == "f"), column
            assert t.header.get(f"TUNIT{i}", "") == want.attrs["unit"] and t.header[f"TUCD{i}"] == want.attrs["ucd"]
            assert t.header[f"TCOMM{i}"] == want.attrs["description"]
            parse_ucd(t.header[f"TUCD{i}"], check_controlled_vocabulary=True)  # raises when TOPCAT would not know it
        assert t.header["CATHASH"] == f.attrs["content_hash"]


def qp(path):
    import qp as package
    ensemble = package.read(path)
    with h5py.File(path, "r") as f:
        good = np.flatnonzero((f["ancil/flags"][:] & 1) == 0)
        assert ensemble.npdf == len(f["ancil/flags"]) and np.array_equal(ensemble.ancil["object_id"], f["ancil/object_id"][:])
        some = good[::50]
        median = ensemble[some].ppf(0.5).ravel()
        width = np.diff(f["meta/bins"][0]).max()
        assert np.abs(median - f["ancil/z_median"][:][some]).max() < 0.1 * width, "medians"
    seen = 0
    for first, last, part in package.iterator(path, chunk_size=100):
        assert part.npdf == last - first and np.array_equal(part.ancil["object_id"], ensemble.ancil["object_id"][first:last])
        seen += part.npdf
    assert seen == ensemble.npdf
    print("qp", package.__version__, "reads it, whole and in parts")


def diff(a, b, *reports):
    with h5py.File(a, "r") as fa, h5py.File(b, "r") as fb:
        assert np.array_equal(fa["ancil/object_id"], fb["ancil/object_id"])
        za, zb = fa["ancil/z_mode"][:].astype(float), fb["ancil/z_mode"][:].astype(float)
        sigma = np.hypot(fa["ancil/sigma_epistemic"][:].astype(float), fa["ancil/sigma_aleatoric"][:].astype(float))
        changed = np.zeros(len(za), bool)
        for column in COLUMNS:
            x, y = fa["ancil"][column][:], fb["ancil"][column][:]
            changed |= x.view("u%d" % x.itemsize) != y.view("u%d" % y.itemsize)
        with np.errstate(invalid="ignore"):
            moved = np.abs(np.log1p(zb) - np.log1p(za)) / sigma
        for r in map(lambda p: json.load(open(p)), reports):
            assert r["only_a"] == r["only_b"] == 0 and r["common"] == len(za) and not r["pass"]
            assert r["changed"] == changed.sum() == 64 and r["identical"] == len(za) - 64, (r["changed"], changed.sum())
            assert r["z_lost"] == r["z_gained"] == 0
            edges = [m["from_sigma"] for m in r["moved"]] + [np.inf]
            with np.errstate(invalid="ignore"):
                want = [int(((moved >= lo) & (moved < hi) & (za != zb)).sum()) for lo, hi in zip(edges, edges[1:])]
            assert [m["n"] for m in r["moved"]] == want, (r["moved"], want)
            top = r["largest"][0]
            assert np.isclose(top["n_sigma"], np.nanmax(moved), rtol=1e-6)
            assert top["object_id"] == fa["ancil/object_id"][np.nanargmax(moved)]
    first, second = map(lambda p: json.load(open(p)), reports)
    assert first["tiles_equal"] == 9 and second["tiles_equal"] == 0
    for r in (first, second):
        del r["tiles_equal"]
    assert first == second


def moved(report):
    r = json.load(open(report))
    assert (r["rows_a"], r["rows_b"], r["only_a"], r["only_b"], r["common"]) == (1130, 835, 300, 5, 830)
    assert r["changed"] == 63 and r["identical"] == 830 - 63, "the tile is a column too"
    assert [o["object_id"] for o in r["first_only_a"]] == [70001 + 3 * i for i in range(20)]
    assert [o["object_id"] for o in r["first_only_b"]] == [99000 + 3 * i for i in range(5)]


globals()[sys.argv[1]](*sys.argv[2:])
