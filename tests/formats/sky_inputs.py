"""Inputs of tools/make_images.py and make_population.py with known answers, and checks of what they made: sky_inputs.py make|check DIR"""
import csv
import sys

import h5py
import numpy as np
from astropy.io import fits
from astropy.table import Table

FWHM_ACS, SCALE_ACS, FWHM_HSC, SCALE_HSC = 0.1, 0.03, 0.58, 0.168
N = 10
rng = np.random.default_rng(3)


def exponential(size, re, q, pa, fwhm, x0=0.0, y0=0.0, fine=4):
    """An exponential disc (n = 1) of flux 1 on size^2 px of a PSF with this FWHM (px); pa from +y towards +x, deg; re along the major axis."""
    n = size * fine
    at = (np.arange(n) - (n - 1) / 2) / fine
    x, y = np.meshgrid(at - x0, at - y0)
    a = np.radians(pa)
    along, across = x * np.sin(a) + y * np.cos(a), x * np.cos(a) - y * np.sin(a)
    image = np.exp(-1.678 * np.hypot(along, across / q) / re)
    k = np.fft.fftfreq(n, 1 / fine)
    sigma = fwhm / 2.3548
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (k[:, None] ** 2 + k[None] ** 2))
    image = np.fft.ifft2(np.fft.fft2(image) * blur).real
    image = image.reshape(size, fine, size, fine).sum((1, 3))
    return image / image.sum()


def psf_image(size, fwhm):
    at = np.arange(size) - (size - 1) / 2
    g = np.exp(-0.5 * (at / (fwhm / 2.3548)) ** 2)
    return np.outer(g, g) / g.sum() ** 2


def truth(kind):
    return [(0.35 + 0.05 * k + (0.35 if kind == "hsc" else 0), 0.5 + 0.05 * (k % 5), 17.0 * k) for k in range(N)]


def make(folder):
    images, psfs = [fits.PrimaryHDU()], [fits.PrimaryHDU()]
    for re, q, pa in truth("acs"):
        image = 500 * exponential(128, re / SCALE_ACS, q, pa, FWHM_ACS / SCALE_ACS, 0.3, -0.2)
        images.append(fits.ImageHDU(image + rng.normal(0, 0.002, image.shape)))
        psfs.append(fits.ImageHDU(psf_image(31, FWHM_ACS / SCALE_ACS)))
    images.append(fits.ImageHDU(rng.normal(0, 0.002, (64, 64))))  # nothing there
    psfs.append(psfs[-1])
    fits.HDUList(images).writeto(f"{folder}/gal.fits", overwrite=True)
    fits.HDUList(psfs).writeto(f"{folder}/psf.fits", overwrite=True)
    n = N + 1
    Table({"IDENT": np.arange(n) + 70, "MAG": 20 + 0.2 * np.arange(n), "GAL_FILENAME": ["gal.fits"] * n, "PSF_FILENAME": ["psf.fits"] * n,
           "GAL_HDU": 1 + np.arange(n), "PSF_HDU": 1 + np.arange(n), "PIXEL_SCALE": np.full(n, SCALE_ACS),
           "NOISE_VARIANCE": np.full(n, 0.002**2)}).write(f"{folder}/real.fits", overwrite=True)
    Table({"IDENT": np.arange(n) + 70, "zphot": 0.1 * (1 + np.arange(n)), "flux_radius": np.full(n, 12.0)}).write(f"{folder}/real_fits.fits", overwrite=True)

    rows = []
    for k, (re, q, pa) in enumerate(truth("hsc")):
        image = 800 * exponential(60, re / SCALE_HSC, q, pa, FWHM_HSC / SCALE_HSC)
        if k == 0:  # a neighbour that is not to stay
            image += 300 * exponential(60, 2.0, 0.9, 0, FWHM_HSC / SCALE_HSC, 18, 15)
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image + rng.normal(0, 0.03, image.shape))]).writeto(f"{folder}/cutout-{k}.fits", overwrite=True)
        fits.PrimaryHDU(psf_image(43, FWHM_HSC / SCALE_HSC)).writeto(f"{folder}/psf-{k}.fits", overwrite=True)
        rows.append({"image": f"cutout-{k}.fits", "psf": f"psf-{k}.fits", "mag": 19 + 0.1 * k, "z": 0.2 + 0.05 * k, "id": 900 + k})
    image = 800 * exponential(60, 4, 1, 0, 3.4, 8, 0)  # off the middle
    fits.PrimaryHDU(image + rng.normal(0, 0.03, image.shape)).writeto(f"{folder}/cutout-off.fits", overwrite=True)
    rows.append({"image": "cutout-off.fits", "psf": "psf-0.fits", "mag": 20, "z": 0.3, "id": 999})
    with open(f"{folder}/hsc.csv", "w") as f:
        w = csv.DictWriter(f, rows[0])
        w.writeheader()
        w.writerows(rows)

    m = 400
    z = rng.uniform(0.1, 1.4, m)
    flux_r = rng.uniform(2, 60, m)
    kind = np.arange(m) % 10
    Table({"TARGETID": np.arange(m), "Z": z, "ZWARN": np.where(kind == 9, 4, 0), "FLUX_R": flux_r, "FLUX_Z": 2 * flux_r,
           "SPECTYPE": np.where(kind == 0, "STAR", np.where(kind == 1, "QSO", "GALAXY")), "DESI_TARGET": np.where(kind == 2, 1, np.where(kind < 5, 2, 0)),
           "SHAPE_R": np.where(kind < 2, 0, 0.4)}).write(f"{folder}/zcat_plain.fits", overwrite=True)
    with fits.open(f"{folder}/zcat_plain.fits") as h:
        h[1].name = "ZCATALOG"
        h.writeto(f"{folder}/zcat.fits", overwrite=True)
    Table({"TRACER": ["LRG"] * 20 + ["ELG_LOP"] * 20, "ZMIN": list(np.arange(20) * 0.05) * 2, "ZMAX": list(np.arange(20) * 0.05 + 0.05) * 2,
           "N_MEAN": [0.0] * 10 + [0.1] * 10 + [0.05] * 20}).write(f"{folder}/nz.ecsv", format="ascii.ecsv", overwrite=True)
    with open(f"{folder}/some.csv", "w") as f:
        f.write("name,redshift,i,kind\na,0.3,20.5,Ellipticals\nb,0.5,21,Starbursts/HII\nc,,21,Spiral\nd,0.4,20,Spiral\n")


def check_images(path, kind, n, tolerance):
    with h5py.File(path) as f:
        assert f.attrs["format"] == b"noslit-images" and len(f["re"]) == n, (path, len(f["re"]))
        mixture, want = f["mixture"][:], np.array(truth(kind)[:n])
        re, q, pa, index = (f[k][:] for k in ("re", "q", "pa", "sersic_n"))
        assert np.allclose(mixture[:, :, 0].sum(1), 1, atol=1e-5) and np.all(mixture[:, :, 0] >= 0)
        assert np.allclose(np.einsum("nk,nki->ni", mixture[:, :, 0], mixture[:, :, 1:3]), 0, atol=1e-4)
        turn = np.abs((pa - want[:, 2] + 90) % 180 - 90)
        print(path, "re", np.round(re / want[:, 0], 3), "q", np.round(q - want[:, 1], 3), "pa", np.round(turn, 1), "n", np.round(index, 2))
        assert np.all(np.abs(re / want[:, 0] - 1) < tolerance) and np.all(np.abs(q - want[:, 1]) < tolerance) and np.all(turn < 8)
        assert np.all((index > 0.5) & (index < 1.8))
        assert f["image"].shape == (n, 128, 128) and np.allclose(f["image"][:].sum((1, 2)), 1, atol=1e-3)


def check(folder):
    check_images(f"{folder}/acs.h5", "acs", N, 0.08)
    check_images(f"{folder}/hsc.h5", "hsc", N, 0.15)
    with h5py.File(f"{folder}/desi.h5") as f:
        counts = np.bincount(f["class"][:], minlength=5)
        assert list(counts) == [160, 40, 80, 40, 40], counts
        assert np.all(f["z"][:][f["class"][:] == 4] == 0)
        plain = fits.getdata(f"{folder}/zcat.fits", 1)
        flux = plain["FLUX_R"][plain["ZWARN"] == 0]
        r, z = 22.5 - 2.5 * np.log10(flux), 22.5 - 2.5 * np.log10(2 * flux)
        assert np.all((f["mag"][:] < r) & (f["mag"][:] > z))
        assert np.nanmin(f["re"][:]) == np.nanmax(f["re"][:]) == 0.4 and np.isnan(f["re"][:]).sum() == 80
    with h5py.File(f"{folder}/nz.h5") as f:
        red = f["class"][:] == 1
        assert "mag" not in f and f["z"][:][red].min() > 0.5 and abs(f["weight"][:][red].sum() - 1) < 1e-9
    with h5py.File(f"{folder}/some.h5") as f:
        assert list(f["class"][:]) == [1, 2, 0] and list(f["z"][:]) == [0.3, 0.5, 0.4] and list(f["mag"][:]) == [20.5, 21, 20]


{"make": make, "check": check}[sys.argv[1]](sys.argv[2])
