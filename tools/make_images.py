#!/usr/bin/env python3
"""Makes an image library for `noslit simulate` (docs/formats.md): shapes of real galaxies, PSF removed, as mixtures of Gaussians.

  make_images.py OUT.h5 SOURCE [SOURCE ...]        SOURCE is kind:arguments, comma-separated

  galsim:CATALOG[,FITS[,FWHM]]   RealGalaxy layout of GalSim (COSMOS): CATALOG names images and PSFs by file and HDU, FITS has the
                                 redshifts (zphot). Without PSF images the PSF is a Gaussian of FWHM arcsec (0.1: HST at F814W)
  fits:CATALOG,FITS              the same without images: the Sersic and bulge + disc fits of FITS
  hsc:TABLE[,EPSILON]            HSC cutouts and PSFs: TABLE is a CSV with columns image, psf (FITS files beside it), mag and, if known,
                                 z, scale (arcsec per pixel, else 0.168), id. Deconvolved by 30 steps of Richardson and Lucy; where the
                                 model is below EPSILON (0.1) the data change nothing; the central segment is kept

A mixture is fitted by expectation maximisation with the PSF and the pixel as known additions to every covariance (Bovy et al. 2011), so
that it has no PSF and no negative light. Galaxies below a signal to noise of 20 and stamps without a central source are left out.
Needs numpy, scipy, astropy and h5py."""
import csv
import json
import os
import sys

import h5py
import numpy as np
from astropy.io import fits
from scipy import ndimage, special

COMPONENTS = 24  # rows of a mixture in the file
FITTED = 16  # components fitted to the best images
STEPS = 120
PIXELS_MAX = 4000  # more are taken four together
SNR_MIN = 20
GRID, GRID_SCALE = 128, 0.05  # of the pictures in the file, arcsec


def central_segment(image, sigma, threshold, least=9, reach=3.0):
    """Mask of the light above threshold sigma that belongs to the middle, or None if its peak is more than reach px away."""
    labels, _ = ndimage.label(image > threshold * sigma)
    middle = (np.array(image.shape) - 1) / 2
    places = np.argwhere(labels > 0)
    if len(places) == 0:
        return None
    nearest = places[np.argmin(np.sum((places - middle) ** 2, axis=1))]
    mask = labels == labels[tuple(nearest)]
    if mask.sum() < least:
        return None
    peak = np.unravel_index(np.argmax(np.where(mask, image, -np.inf)), image.shape)
    return mask if np.hypot(*(np.array(peak) - middle)) <= reach else None


def noise_of(image):
    edge = np.concatenate([image[:3].ravel(), image[-3:].ravel(), image[:, :3].ravel(), image[:, -3:].ravel()])
    return np.median(edge), 1.4826 * np.median(np.abs(edge - np.median(edge)))


def gaussian_of(psf):
    """Covariance (px^2) of the Gaussian that fits a PSF image: adaptive moments."""
    y, x = np.indices(psf.shape)
    total = np.maximum(psf, 0)
    centre = np.array([(total * x).sum(), (total * y).sum()]) / total.sum()
    cov = np.eye(2) * 4.0
    for _ in range(60):
        d = np.stack([x - centre[0], y - centre[1]], -1)
        w = psf * np.exp(-0.5 * np.einsum("...i,ij,...j", d, np.linalg.inv(cov), d))
        centre = centre + 2 * np.einsum("yx,yxi->i", w, d) / w.sum()
        cov = 2 * np.einsum("yx,yxi,yxj->ij", w, d, d) / w.sum()
    return cov - np.eye(2) / 12


def fit_mixture(image, psf_cov, n):
    """n Gaussians (weight, mean[2], cov[2][2]; px) whose sum, seen through the PSF, is most like the non-negative image."""
    ys, xs = np.nonzero(image > 0)
    p, w = np.stack([xs, ys], 1).astype(float), image[ys, xs] / image[ys, xs].sum()
    centre = w @ p
    d = p - centre
    whole = np.einsum("i,ij,ik->jk", w, d, d)
    seen = psf_cov + np.eye(2) / 12
    size = max(np.sqrt(np.linalg.det(whole)) - np.sqrt(np.linalg.det(seen)), 0.3)
    shape = whole / np.sqrt(np.linalg.det(whole))
    rings = np.array([0.08, 0.25, 0.7, 1.6])[:n]
    at = np.searchsorted(np.cumsum(w), (np.arange(n - len(rings)) + 0.5) / max(n - len(rings), 1))
    mean = np.concatenate([np.tile(centre, (len(rings), 1)), p[np.minimum(at, len(p) - 1)]])
    cov = np.concatenate([rings[:, None, None] * size * shape, np.tile(0.2 * size * np.eye(2), (n - len(rings), 1, 1))])
    weight = np.full(n, 1.0 / n)
    last = -np.inf
    for step in range(STEPS):
        t = cov + seen
        inverse = np.linalg.inv(t)
        off = p[:, None, :] - mean[None]
        pull = np.einsum("kij,pkj->pki", inverse, off)
        density = weight * np.exp(-0.5 * np.einsum("pki,pki->pk", off, pull)) / (2 * np.pi * np.sqrt(np.linalg.det(t)))
        total = density.sum(1)
        share = density * (w / np.maximum(total, 1e-300))[:, None]
        light = share.sum(0) + 1e-12
        b = mean[None] + np.einsum("kij,pkj->pki", cov, pull)
        new_mean = np.einsum("pk,pki->ki", share, b) / light[:, None]
        spread = b - new_mean[None]
        left = cov - np.einsum("kij,kjl,klm->kim", cov, inverse, cov)
        cov = np.einsum("pk,pki,pkj->kij", share, spread, spread) / light[:, None, None] + left + 0.02 * np.eye(2) / n
        mean, weight = new_mean, light / light.sum()
        score = w @ np.log(np.maximum(total, 1e-300))
        if step > 30 and score - last < 1e-6:
            break
        last = score
    keep = weight > 1e-3
    return weight[keep] / weight[keep].sum(), mean[keep], cov[keep]


def picture(weight, mean, cov, n, scale):
    """Surface brightness (sum 1) on n x n pixels."""
    at = (np.arange(n) - (n - 1) / 2) * scale
    x, y = np.meshgrid(at, at)
    out = np.zeros((n, n))
    for f, m, c in zip(weight, mean, cov):
        c = c + np.eye(2) * scale**2 / 12
        i = np.linalg.inv(c)
        dx, dy = x - m[0], y - m[1]
        out += f * np.exp(-0.5 * (i[0, 0] * dx * dx + 2 * i[0, 1] * dx * dy + i[1, 1] * dy * dy)) / np.sqrt(np.linalg.det(c))
    return out / out.sum()


def sersic_radius(n, part):
    """Radius in half-light radii that holds a part of a Sersic profile's light."""
    return (special.gammaincinv(2 * n, part) / special.gammaincinv(2 * n, 0.5)) ** n


INDEXES = np.linspace(0.5, 6, 111)
CONCENTRATION = sersic_radius(INDEXES, 0.8) / sersic_radius(INDEXES, 0.2)


def measure(weight, mean, cov):
    """Half-light radius along the major axis, axis ratio, position angle (from +y towards +x, deg), Sersic index."""
    whole = np.einsum("k,kij->ij", weight, cov) + np.einsum("k,ki,kj->ij", weight, mean, mean)
    scale = np.sqrt(np.linalg.eigvalsh(whole)[1]) / 16
    n = 161
    image = picture(weight, mean, cov, n, scale)
    at = (np.arange(n) - (n - 1) / 2) * scale
    d = np.stack(np.meshgrid(at, at), -1)
    order = np.argsort(np.hypot(d[..., 0], d[..., 1]).ravel())
    size = np.interp(0.5, np.cumsum(image.ravel()[order]), np.hypot(d[..., 0], d[..., 1]).ravel()[order])
    m = whole
    for _ in range(40):  # moments under a Gaussian of their own shape and of about the half-light size
        m = m * (size**2 / np.sqrt(np.linalg.det(m)))
        w = image * np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", d, np.linalg.inv(m), d))
        m = np.einsum("yx,yxi,yxj->ij", w, d, d) / w.sum()
    values, vectors = np.linalg.eigh(m)
    q, major = np.sqrt(values[0] / values[1]), vectors[:, 1]
    along, across = d @ major, d @ vectors[:, 0]
    r = np.hypot(along, across / q).ravel()
    order = np.argsort(r)
    enclosed = np.cumsum(image.ravel()[order])
    r20, r50, r80 = np.interp([0.2, 0.5, 0.8], enclosed, r[order])
    index = np.interp(r80 / r20, CONCENTRATION, INDEXES)
    return r50, min(max(q, 0.05), 1), np.degrees(np.arctan2(major[0], major[1])) % 180, index


def entry(image, mask, sigma, scale, psf_cov, mag, z, name):
    """A library entry of a stamp (scale in arcsec per px), or None."""
    light = np.where(mask, np.maximum(image, 0), 0)
    snr = light.sum() / (sigma * np.sqrt(mask.sum())) if sigma > 0 else 1e9
    if snr < SNR_MIN:
        return None
    n = int(np.clip(snr / 12, 4, FITTED))
    while (light > 0).sum() > PIXELS_MAX:
        even = [2 * (k // 2) for k in light.shape]
        light = light[: even[0], : even[1]].reshape(even[0] // 2, 2, even[1] // 2, 2).sum((1, 3))
        scale, psf_cov, sigma = 2 * scale, psf_cov / 4, 2 * sigma
    weight, mean, cov = fit_mixture(light, psf_cov, n)
    model = np.zeros(light.shape)
    y, x = np.indices(light.shape)
    for f, m, c in zip(weight, mean, cov):
        c = c + psf_cov + np.eye(2) / 12
        i, dx, dy = np.linalg.inv(c), x - m[0], y - m[1]
        model += f * np.exp(-0.5 * (i[0, 0] * dx * dx + 2 * i[0, 1] * dx * dy + i[1, 1] * dy * dy)) / (2 * np.pi * np.sqrt(np.linalg.det(c)))
    inside = light > 0
    wrong = np.abs(light - light.sum() * model)[inside].sum()
    residual = max(wrong - np.sqrt(2 / np.pi) * sigma * inside.sum(), 0) / light.sum()  # beyond what noise explains
    mean = (mean - weight @ mean) * scale
    cov = cov * scale**2
    re, q, pa, index = measure(weight, mean, cov)
    mixture = np.zeros((COMPONENTS, 6))
    mixture[: len(weight)] = np.column_stack([weight, mean, cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]])
    return {"mixture": mixture, "re": re, "q": q, "pa": pa, "sersic_n": index, "mag": mag, "z": z, "snr": min(snr, 1e6),
            "residual": residual, "image": picture(weight, mean, cov, GRID, GRID_SCALE), "source": name}


def from_galsim(catalog, table=None, fwhm="0.1"):
    folder = os.path.dirname(catalog)
    rows = fits.getdata(catalog, 1)
    extra = fits.getdata(table, 1) if table else None
    z_name = None if extra is None else next((c for c in extra.names if c.lower() == "zphot"), None)
    z_of = {} if z_name is None else dict(zip(extra["IDENT"].tolist(), extra[z_name].astype(float)))
    files = {}
    for row in rows:
        names = [os.path.join(folder, row[c].strip()) for c in ("GAL_FILENAME", "PSF_FILENAME")]
        if not os.path.exists(names[0]):
            sys.exit(f"{names[0]}: missing; {catalog} names it (without images use fits:CATALOG,FITS)")
        for name in names:
            if name not in files and os.path.exists(name):
                files[name] = fits.open(name)
        image = files[names[0]][int(row["GAL_HDU"])].data.astype(float)
        scale = float(row["PIXEL_SCALE"])
        if names[1] in files:
            psf_cov = gaussian_of(files[names[1]][int(row["PSF_HDU"])].data.astype(float))
        else:
            psf_cov = np.eye(2) * (float(fwhm) / 2.3548 / scale) ** 2
        sigma = np.sqrt(float(row["NOISE_VARIANCE"]))
        mask = central_segment(ndimage.gaussian_filter(image, 1.5), sigma / 5.3, 3, reach=8)  # 5.3: white noise, so smoothed
        name = f"{os.path.basename(catalog)} {row['IDENT']}"
        yield None if mask is None else entry(image, mask, sigma, scale, psf_cov, float(row["MAG"]), z_of.get(int(row["IDENT"]), np.nan), name)
    for f in files.values():
        f.close()


def sersic_image(size, par):
    """GalSim's fit parameters: I at the half-light radius, that radius (geometric mean of the axes, px), n, q, boxiness, x, y, angle."""
    intensity, hlr, n, q, _, x0, y0, phi = par
    y, x = np.indices((size, size)) - (size - 1) / 2
    a = hlr / np.sqrt(q)
    along, across = x * np.cos(phi) + y * np.sin(phi), -x * np.sin(phi) + y * np.cos(phi)
    r = np.sqrt(along**2 + (across / q) ** 2 + 0.1)
    b = special.gammaincinv(2 * n, 0.5)
    return intensity * np.exp(-b * ((r / a) ** (1 / n) - 1))


def from_fits(catalog, table):
    mags = dict(zip(fits.getdata(catalog, 1)["IDENT"].tolist(), fits.getdata(catalog, 1)["MAG"].astype(float)))
    scales = dict(zip(fits.getdata(catalog, 1)["IDENT"].tolist(), fits.getdata(catalog, 1)["PIXEL_SCALE"].astype(float)))
    for row in fits.getdata(table, 1):
        ident = int(row["IDENT"])
        parts = [row["sersicfit"]] if not row["use_bulgefit"] else [row["bulgefit"][:8], row["bulgefit"][8:]]
        if ident not in mags or any(not np.all(np.isfinite(p)) or p[1] <= 0 or p[3] <= 0 for p in parts):
            yield None
            continue
        size = int(np.clip(10 * max(p[1] / np.sqrt(p[3]) for p in parts), 41, 201))
        image = sum(sersic_image(size, p) for p in parts)
        yield entry(image, image > 0, 0, scales[ident], np.zeros((2, 2)), mags[ident], float(row["zphot"]), f"{os.path.basename(table)} {ident}")


def convolve(a, b):
    """a * b in the middle, same size as a; b of odd size, centred."""
    shape = [s + t - 1 for s, t in zip(a.shape, b.shape)]
    full = np.fft.irfft2(np.fft.rfft2(a, shape) * np.fft.rfft2(b, shape), shape)
    y, x = (b.shape[0] - 1) // 2, (b.shape[1] - 1) // 2
    return full[y : y + a.shape[0], x : x + a.shape[1]]


def richardson_lucy(image, psf, steps=30, epsilon=0.1):
    estimate = np.full(image.shape, max(image.mean(), 1e-6))
    for _ in range(steps):
        seen = convolve(estimate, psf)
        ratio = np.where(seen < epsilon, 0 if epsilon > 0 else 1, image / np.where(seen < epsilon, 1, np.maximum(seen, 1e-30)))
        estimate = np.maximum(estimate * convolve(ratio, psf[::-1, ::-1]), 0)
    return estimate


def read_image(path):
    with fits.open(path) as h:
        return next(x.data for x in h if x.data is not None and x.data.ndim == 2).astype(float)


def from_hsc(table, epsilon="0.1"):
    folder = os.path.dirname(table)
    for row in csv.DictReader(open(table)):
        image, psf = read_image(os.path.join(folder, row["image"])), np.maximum(read_image(os.path.join(folder, row["psf"])), 0)
        psf = psf[: psf.shape[0] - 1 + psf.shape[0] % 2, : psf.shape[1] - 1 + psf.shape[1] % 2]
        level, sigma = noise_of(image)
        image -= level
        mask = central_segment(image, sigma, 5)
        if mask is None:
            yield None
            continue
        sharp = richardson_lucy(image, psf / psf.sum(), 30, float(epsilon))
        yield entry(sharp, mask, sigma, float(row.get("scale") or 0.168), np.zeros((2, 2)), float(row["mag"]), float(row.get("z") or "nan"),
                    f"HSC {row.get('id') or row['image']}")


KINDS = {"galsim": from_galsim, "fits": from_fits, "hsc": from_hsc}


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    entries = []
    for source in sys.argv[2:]:
        kind, _, arguments = source.partition(":")
        if kind not in KINDS:
            sys.exit(f"{source}: the kind must be one of {', '.join(KINDS)}")
        found = list(KINDS[kind](*arguments.split(",")))
        used = [e for e in found if e is not None]
        middle = [np.median([e[k] for e in used]) if used else 0 for k in ("mag", "re", "residual")]
        print(f"{kind}: {len(used)} of {len(found)} galaxies; medians: {middle[0]:.2f} mag, {middle[1]:.2f} arcsec, {middle[2]:.3f} of the light "
              "not as in the image")
        entries += used
    if len(entries) < 8:
        sys.exit(f"{len(entries)} galaxies: noslit needs at least 8. Nothing written")
    temporary = sys.argv[1] + ".tmp"
    with h5py.File(temporary, "w") as f:
        f.attrs["format"] = np.bytes_("noslit-images")
        f.attrs["version"] = np.int64(1)
        f.attrs["pixel_arcsec"] = GRID_SCALE
        f.attrs["source"] = np.bytes_(json.dumps([e["source"] for e in entries])[:60000])
        f["mixture"] = np.array([e["mixture"] for e in entries], dtype="f4")
        f.create_dataset("image", data=np.array([e["image"] for e in entries], dtype="f4"), chunks=(1, GRID, GRID), compression="gzip", shuffle=True)
        for k in ("re", "q", "pa", "sersic_n", "mag", "z", "snr", "residual"):
            f[k] = np.array([e[k] for e in entries], dtype="f8")
    os.replace(temporary, sys.argv[1])
    print(f"{sys.argv[1]}: {len(entries)} images")


if __name__ == "__main__":
    main()
