#!/usr/bin/env python3
"""What a user would write instead of noslit for one tile: astropy reads the frames and their WCS, numpy and scipy make the stamps,
torch runs the network (the trunk once, then 128 dropout masks), h5py writes PDFs. One core. The same steps on the same sources and
exposures as noslit takes: local sky, masks, resampling, light of the neighbours' first orders, outlier rejection, inverse
variance; of noslit's scene it leaves out the other orders and Sersic profiles (Gaussians instead), which makes it cheaper.
tile.py SURVEY TILE CONFIGS OUTPUT"""
import glob
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
import h5py
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates, maximum_filter

import graph_torch

NX, NY, YC, SKY_ROWS, T, SIGMA = 480, 40, 19.5, 12, 128, 5.0
SPLIT, MARGIN = 819.5, 400 / 3600
torch.set_num_threads(1)


class Beam:
    """The first order of an aXe configuration."""

    def __init__(self, path):
        keys = {}
        for line in open(path):
            words = line.split()
            if words and not line.startswith("#"):
                keys[words[0]] = words[1:]
        number = lambda key: [float(v) for v in keys[key]]
        self.span, self.xoff, self.yoff = number("BEAMA"), number("XOFF_A"), number("YOFF_A")
        self.dydx = [number(f"DYDX_A_{i}") for i in range(int(keys["DYDX_ORDER_A"][0]) + 1)]
        self.dldp = [number(f"DLDP_A_{i}") for i in range(int(keys["DISP_ORDER_A"][0]) + 1)]
        table = Table.read(os.path.join(os.path.dirname(path), keys["SENSITIVITY_A"][0]))
        self.wave, self.sens = (np.asarray(table[c], float) for c in table.colnames[:2])

    def at(self, x, y):
        """Columns dx of the trace with their rows and wavelengths."""
        field = lambda c: np.dot(c, [1, x, y, x * x, x * y, y * y][:len(c)])
        dx = np.arange(np.ceil(self.span[0]), np.floor(self.span[1]) + 1)
        dydx = [field(c) for c in self.dydx]
        dy = sum(c * dx**i for i, c in enumerate(dydx))
        path = dx * np.sqrt(1 + dydx[1] ** 2)
        wave = sum(field(c) * path**i for i, c in enumerate(self.dldp))
        return x + field(self.xoff) + dx, y + field(self.yoff) + dy, wave


class Frame:
    def __init__(self, path, band, confs):
        self.hdus = fits.open(path)
        self.header, self.band = self.hdus["SCI"].header, band
        self.exptime = self.hdus[0].header.get("EXPTIME", self.header.get("EXPTIME"))
        self.wcs = WCS(self.header)
        self.nx, self.ny = self.header["NAXIS1"], self.header["NAXIS2"]
        self.beams = [Beam(f"{confs}/{band}_{side}.conf") for side in "LR"]

    def place(self, sky):
        self.x, self.y = self.wcs.all_world2pix(sky, 1).T
        self.trace = {}

    def trace_of(self, i):
        if i not in self.trace:
            self.trace[i] = self.beams[int(self.x[i] > SPLIT)].at(self.x[i], self.y[i])
        return self.trace[i]


def neighbours_light(frame, i, x0, y0, shape, mag, sigma):
    """First orders of the other sources in a window: a flat F_nu spectrum, a Gaussian across."""
    light = np.zeros(shape, np.float32)
    for j in np.flatnonzero((np.abs(frame.y - frame.y[i]) < shape[0] + 60) & (np.abs(frame.x - frame.x[i]) < 1000)):
        if j == i:
            continue
        tx, ty, wave = frame.trace_of(j)
        inside = (tx >= x0) & (tx <= x0 + shape[1] - 1) & (ty > y0 - 30) & (ty < y0 + shape[0] + 30)
        if not inside.any():
            continue
        per_pixel = np.abs(np.gradient(wave))[inside]
        tx, ty, wave = tx[inside], ty[inside], wave[inside]
        beam = frame.beams[int(frame.x[j] > SPLIT)]
        flam = 10 ** (-0.4 * (mag[j] + 48.6)) * 2.99792458e18 / wave**2
        counts = frame.exptime * flam * np.interp(wave, beam.wave, beam.sens, 0, 0) * per_pixel
        columns = np.rint(tx - x0).astype(int).clip(0, shape[1] - 1)
        rows = np.arange(shape[0])[:, None] - (ty - y0)
        s = np.hypot(sigma[j], 1.4)
        np.add.at(light.T, columns, (counts * np.exp(-0.5 * (rows / s) ** 2) / (s * np.sqrt(2 * np.pi))).T)
    return light


def rectify(frame, i, wave_grid, mag, sigma):
    """Flux, variance and neighbours' light of one exposure on the stamp's grid, per second; None when it is not on the frame."""
    if not (0.5 <= frame.x[i] <= frame.nx + 600) and not (-600 <= frame.x[i]):
        return None
    tx, ty, wave = frame.trace_of(i)
    order = np.argsort(wave)
    column = np.interp(wave_grid, wave[order], tx[order], np.nan, np.nan)
    centre = np.interp(column, tx, ty)
    ok = np.isfinite(column) & (column > 1) & (column < frame.nx)
    if not ok.any():
        return None
    half = NY / 2 + SKY_ROWS + 2
    x0, x1 = int(column[ok].min()) - 1, int(column[ok].max()) + 3
    y0, y1 = int(centre[ok].min() - half), int(centre[ok].max() + half)
    x0, y0, x1, y1 = max(x0, 1), max(y0, 1), min(x1, frame.nx), min(y1, frame.ny)
    if y1 - y0 < 4 or x1 - x0 < 4:
        return None
    cut = np.s_[y0 - 1:y1, x0 - 1:x1]
    sci = frame.hdus["SCI"].section[cut].astype(np.float32) * frame.exptime
    var = (frame.hdus["ERR"].section[cut].astype(np.float32) * frame.exptime) ** 2
    good = (frame.hdus["DQ"].section[cut] & 59) == 0
    light = neighbours_light(frame, i, x0, y0, sci.shape, mag, sigma)
    row = np.interp(np.arange(x0, x1 + 1), tx[np.argsort(tx)], ty[np.argsort(tx)])
    beside = np.abs(np.arange(y0, y1 + 1)[:, None] - row) > NY / 2
    sample = (sci - light)[beside & good & (light < np.sqrt(var))]
    for _ in range(4):
        if sample.size == 0:
            return None
        middle = np.median(sample)
        sample = sample[np.abs(sample - middle) < 3 * (sample.std() + 1e-6)]
    direction = 1 if wave[-1] > wave[0] else -1
    rows = centre + direction * (np.arange(NY)[:, None] - YC)
    at = np.array([rows - y0, np.broadcast_to(column, rows.shape) - x0])
    at[:, :, ~ok] = -9
    weight = map_coordinates(good.astype(np.float32), at, order=1)
    kept = weight > 0.5
    scale = np.where(kept, 1 / np.maximum(weight, 0.5), 0)
    flux = map_coordinates(np.where(good, sci - sample.mean(), 0), at, order=1) * scale
    variance = map_coordinates(np.where(good, var, 0), at, order=1) * scale**2
    width = np.nan_to_num(np.abs(np.gradient(column)))
    t = frame.exptime
    return flux * width / t, variance * width / t**2, map_coordinates(light, at, order=1) * width / t, kept & ok, t, var[good].mean()


def combine(views):
    """Electrons over the total exposure."""
    flux, variance, light, kept, seconds, background = (np.array(v) for v in zip(*views))
    clean = np.where(kept, flux - light, np.nan)
    reference = np.nanmedian(clean, 0)
    allowed = SIGMA * np.sqrt(np.nanmedian(np.where(kept, variance, np.nan), 0) * 1.5) + 0.35 * maximum_filter(np.nan_to_num(reference), 3)
    kept = kept & (np.abs(clean - reference) <= allowed)
    w = kept * (seconds**2 / background)[:, None, None]
    total, scale = seconds.sum(), 1 / np.maximum(w.sum(0), 1e-30)
    return (w * flux).sum(0) * scale * total, (w * w * variance).sum(0) * (scale * total) ** 2, (w * light).sum(0) * scale * total


def network(path):
    """The trunk up to the dropout, and what is behind it."""
    with h5py.File(path) as f:
        text = bytes(f["graph"][()]).decode()
        weights = {k: v[()] for k, v in f["weights"].items()}
        scale = [float(f.attrs[f"flux_scale{b}"]) for b in (0, 1)]
        k2 = float(f.attrs["contamination_k"]) ** 2
        temperature = float(f.attrs["temperature"])
        bins = int(f.attrs["pdf_n"]), float(f.attrs["pdf_u0"]), float(f.attrs["pdf_du"])
    nodes = graph_torch.parse(text)
    cut = next(i for i, n in enumerate(nodes) if n["op"] == "dropout")
    own = lambda part: {k: v for k, v in weights.items() if k.split(".")[0] in {n["name"] for n in part}}
    drop = nodes[cut]
    trunk = graph_torch.GraphNet(nodes[:cut], own(nodes[:cut])).eval()
    tail_nodes = [{"op": "input", "name": drop["name"], "in": [], "const": None}] + nodes[cut + 1:]
    tail = graph_torch.GraphNet(tail_nodes, own(tail_nodes)).eval()
    channels = trunk.nodes[-1]
    return trunk, tail, drop["rate"], channels, scale, k2, temperature, bins


def straighten(plane, tilt):
    """Rows moved by whole pixels, as the network was trained; tilt in px a row."""
    out = np.zeros_like(plane)
    for y in range(NY):
        move = int(np.rint(tilt * (y - YC)))
        first, last = max(0, -move), min(NX, NX - move)
        out[y, first:last] = plane[y, first + move:last + move]
    return out


def tilt_of(row):
    """Of a Gaussian of the catalogue's half-light radius, and the PSF."""
    a, angle = row["RE"] / 0.074 / 1.1774, np.radians(90 + float(row["PA"]))
    b = a * row["Q"]
    yy = (a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2 + 1.43**2
    return (a * a - b * b) * np.sin(angle) * np.cos(angle) / yy


def main():
    survey, tile, configs, output = sys.argv[1:5]
    catalogue = Table.read(survey + "/catalogue.fits")
    own = h5py.File(glob.glob(f"{survey}/tiles/**/Npix={tile}.h5", recursive=True)[0])["rows/object_id"][()]
    ids = np.asarray(catalogue["ID"])
    first = np.flatnonzero(np.isin(ids, own))
    ra, dec = np.asarray(catalogue["RA"], float), np.asarray(catalogue["DEC"], float)
    sky = SkyCoord(ra, dec, unit="deg")
    near = np.flatnonzero(sky[first].separation(sky[:, None]).deg.min(1) < MARGIN)
    order = np.concatenate([first, np.setdiff1d(near, first)])
    ra, dec, mag = ra[order], dec[order], np.asarray(catalogue["MAG"], float)[order]
    sigma = np.asarray(catalogue["RE"], float)[order] / 0.074 / 1.18
    frames = []
    for path in sorted(glob.glob(survey + "/exposures/*.fits*")):
        frame = Frame(path, "GI" if "_01_L1" in path else "GV", configs + "/instruments/csst")
        frame.place(np.column_stack([ra, dec]))
        frames.append(frame)
    grids = {"GV": 3494.76 + 7.12 * np.arange(NX), "GI": 6257.065 + 8.53 * np.arange(NX)}
    trunk, tail, rate, _, scale, k2, temperature, bins = network(configs + "/models/default.h5")
    n = len(first)
    x, v = np.zeros((2, n, 2, NY, NX), np.float32)
    aux = np.zeros((n, 8, 1, 1), np.float32)
    views_used = 0
    for i in range(n):
        row = catalogue[order[i]]
        q, pa = float(row["Q"]), np.radians(2 * float(row["PA"]))
        e = (1 - q) / (1 + q)
        aux[i, :5, 0, 0] = np.log(max(row["RE"] / 0.074, 0.2) / 4), q, e * np.cos(pa), e * np.sin(pa), row["SERSIC_N"] / 4
        for b, band in enumerate(("GV", "GI")):
            views = [w for w in (rectify(f, i, grids[band], mag, sigma) for f in frames if f.band == band) if w is not None]
            if not views:
                continue
            views_used += len(views)
            flux, variance, light = combine(views)
            data = variance > 0
            some = variance[::5][data[::5]]
            depth = scale[b] ** 2 * np.mean(1 / some) if some.size else 0
            x[i, b] = straighten(data * (flux - light) / scale[b], tilt_of(row))
            v[i, b] = straighten(np.where(data, depth * variance / (variance + k2 * light**2 + ~data), 0), tilt_of(row))
            aux[i, 5 + b] = len(views) / 4
    with torch.inference_mode():
        kept = trunk(*(torch.from_numpy(a) for a in (x, v, aux)))
        kept = kept.reshape(n, trunk_channels(trunk), 1, -1)
        pdf = torch.zeros(n, bins[0])
        for i in range(n):
            masks = (torch.rand(T, kept.shape[1], 1, 1) >= rate) / (1 - rate)
            pdf[i] = torch.softmax(tail(kept[i:i + 1] * masks) / temperature, 1).mean(0)
    with h5py.File(output, "w") as f:
        f.create_dataset("object_id", data=ids[first])
        f.create_dataset("pdf", data=pdf.numpy(), compression="gzip", shuffle=True)
    peak = np.expm1(bins[1] + bins[2] * (pdf.numpy().argmax(1) + 0.5))
    print(f"{n} sources, {views_used} views, median z {np.median(peak):.3f}")


def trunk_channels(trunk):
    """Of the last node: a GELU behind a convolution."""
    name = trunk.nodes[-1]["in"][0]
    return next(n for n in trunk.nodes if n["name"] == name)["c_out"]


if __name__ == "__main__":
    main()
