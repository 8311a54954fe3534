#!/usr/bin/python3
"""Makes the reference numbers of test_wcs.c: two headers like those of a CSST L1 exposure (TPV, reference pixel outside the
chip; TAN), pixels and their sky positions by astropy. The TPV formula is worked out here a second time, without wcslib,
and the script stops if the two differ."""
import numpy as np
from astropy.wcs import WCS

BASE = dict(CRPIX1=29758.0, CRPIX2=-15644.0, CRVAL1=150.1, CRVAL2=2.2, CD1_1=-1.9e-5, CD1_2=7.8e-6, CD2_1=7.9e-6, CD2_2=1.9e-5)
PV1 = [1e-4, 1.0002, -3e-4, 0.0, 2e-4, -1e-4, 3e-4]
PV2 = [-2e-4, 0.9997, 2e-4, 0.0, -1e-4, 4e-4, 1e-4]
PIXELS = [(1, 1), (9216, 1), (1, 9232), (9216, 9232), (4608.5, 4616.25), (2000.125, 7000.75)]


def header(kind):
    cards = [("CTYPE1", f"RA---{kind}"), ("CTYPE2", f"DEC--{kind}"), ("CUNIT1", "deg"), ("CUNIT2", "deg"), ("RADESYS", "ICRS")]
    cards += list(BASE.items())
    if kind == "TPV":
        cards += [(f"PV1_{i}", v) for i, v in enumerate(PV1)] + [(f"PV2_{i}", v) for i, v in enumerate(PV2)]
    return cards


def by_hand(x, y, distorted):
    u, v = x - BASE["CRPIX1"], y - BASE["CRPIX2"]
    xi, eta = BASE["CD1_1"] * u + BASE["CD1_2"] * v, BASE["CD2_1"] * u + BASE["CD2_2"] * v
    if distorted:
        r = np.hypot(xi, eta)
        a = np.dot(PV1, [1, xi, eta, r, xi * xi, xi * eta, eta * eta])
        b = np.dot(PV2, [1, eta, xi, r, eta * eta, xi * eta, xi * xi])
        xi, eta = a, b
    xi, eta, d0 = np.radians(xi), np.radians(eta), np.radians(BASE["CRVAL2"])
    denominator = np.cos(d0) - eta * np.sin(d0)
    ra = BASE["CRVAL1"] + np.degrees(np.arctan2(xi, denominator))
    dec = np.degrees(np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, denominator)))
    return ra, dec


for kind in ("TPV", "TAN"):
    cards = header(kind)
    wcs = WCS(dict(cards))
    print(f"/* {kind} */")
    for x, y in PIXELS:
        ra, dec = (float(v) for v in wcs.all_pix2world(x, y, 1))
        ra2, dec2 = by_hand(x, y, kind == "TPV")
        assert abs(ra - ra2) < 1e-11 and abs(dec - dec2) < 1e-11, (ra - ra2, dec - dec2)
        print(f"    {{{x}, {y}, {ra!r}, {dec!r}}},")
