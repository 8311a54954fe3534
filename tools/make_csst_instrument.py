#!/usr/bin/python3
"""Makes the CSST gratings of configs/instruments/csst: one aXe conf a band and grating side, one sensitivity table a band and order.

The real trace and wavelength solutions are not public. What is known is used (throughput of the first order, dispersion, sides that
disperse in opposite directions); the rest follows one model, an ESTIMATE: a transmission grating with a wedge that leaves wavelength
u undeviated, so that order m of wavelength lambda falls at dx = (m lambda - u) / D from the direct position, D the first order's
dispersion. Order 0 is then at -u / D, spread a little by the wedge. Run it from anywhere; it writes beside the instrument files.
"""
import pathlib
import numpy as np
from astropy.io import fits
from scipy.interpolate import PchipInterpolator

OUT = pathlib.Path(__file__).resolve().parent.parent / "configs" / "instruments" / "csst"
AREA_CM2 = np.pi * 100.0**2  # 2.0 m, unobscured
HC_ERG_A = 6.62607015e-27 * 2.99792458e18  # h c in erg Angstrom

# First-order throughput, telescope to detector: the CESS tables csst_sls_tp/*.1st.fits, sampled (wavelength in Angstrom, throughput).
THROUGHPUT = {
    "GU": "2500 .0620|2600 .1317|2700 .1350|2800 .1479|2900 .1608|3000 .1673|3100 .1723|3200 .1773|3300 .1801|3400 .1821|3500 .1829|"
          "3600 .1844|3700 .1817|3800 .1914|3900 .1992|4000 .2141|4100 .1130|4200 .0023",
    "GV": "3800 .0018|3900 .1065|4000 .2394|4200 .2897|4400 .3242|4600 .3560|4800 .3810|5000 .3934|5200 .4022|5400 .4070|5600 .4101|"
          "5800 .4101|6000 .4088|6200 .4052|6300 .3029|6400 .2011|6500 .1018|6600 .0039",
    "GI": "6100 .0034|6300 .3568|6500 .3683|6700 .3775|6900 .3863|7100 .3934|7300 .3973|7500 .3991|7700 .3991|7900 .3951|8100 .3872|"
          "8300 .3731|8500 .3529|8700 .3252|8900 .2930|9100 .2543|9300 .2099|9500 .1646|9700 .1214|9900 .0845|10100 .0459|10300 .0169|"
          "10500 .0048",
}
# Share of the light in the other orders, relative to the first. Order 0: CESS (a placeholder there as well); +2, -1: ESTIMATES.
ORDERS = {"A": (1, 1.0), "B": (0, 0.1), "C": (2, 0.03), "D": (-1, 0.02)}

# Dispersion D [A/px] follows the CESS resolution element; the undeviated wavelength u, the tilt and the wedge are ESTIMATES.
BANDS = {
    "GU": dict(D=5.18, u=3300.0, tilt_deg=0.90, yoff=1.2),
    "GV": dict(D=7.12, u=3700.0, tilt_deg=1.00, yoff=1.5),  # the spectrum lies beside the direct position
    "GI": dict(D=8.53, u=7000.0, tilt_deg=1.10, yoff=-0.8),  # the direct position lies inside the spectrum
}
ZEROTH_WIDTH_PX = 3.0  # over the whole band
SIDES = {"L": +1, "R": -1}  # direction in which the wavelength grows along x


def curve(band):
    pairs = np.array([[float(v) for v in p.split()] for p in THROUGHPUT[band].split("|")])
    lam = np.arange(pairs[0, 0] - 20, pairs[-1, 0] + 20.1, 10.0)  # falls to zero within 20 A outside the table
    nodes = np.concatenate([[lam[0]], pairs[:, 0], [lam[-1]]])
    return lam, PchipInterpolator(nodes, np.concatenate([[0], pairs[:, 1], [0]]))(lam).clip(min=0)


def write_sensitivity(band, beam):
    lam, throughput = curve(band)
    sensitivity = ORDERS[beam][1] * throughput * AREA_CM2 * lam / HC_ERG_A
    table = fits.BinTableHDU.from_columns([
        fits.Column("WAVELENGTH", "E", unit="Angstrom", array=lam),
        fits.Column("SENSITIVITY", "E", unit="electron s-1 / (erg s-1 cm-2 Angstrom-1)", array=sensitivity)], name="SENSITIVITY")
    table.header["BAND"] = band
    table.header["ORDER"] = ORDERS[beam][0]
    name = f"{band}_{beam}.fits"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(OUT / name, overwrite=True, checksum=False)
    return name


def terms(*values):
    return " ".join(f"{v:.10g}" for v in values)


def extent(d0, d1, d2, lam):
    """dx with this wavelength: the root of d0 + d1 l + d2 l^2 that belongs to the nearly straight solution."""
    return 2 * (lam - d0) / (d1 * (1 + np.sqrt(1 + 4 * d2 * (lam - d0) / d1**2)))


def beam_lines(band, side, beam):
    """One beam. Field terms are in detector pixels and vanish at the middle of a 9216 x 9232 detector, so that small frames differ."""
    p, sign, order = BANDS[band], SIDES[side], ORDERS[beam][0]
    lam = curve(band)[0]
    xc, yc = 4608.5, 4616.5
    tilt = np.tan(np.radians(p["tilt_deg"])) * sign
    xoff = 0.0 if order else -sign * p["u"] / p["D"]
    if order:
        scale = p["D"] / order  # A per px of path along the dispersion direction
        bend = 1.0e-4 * np.sign(order) / abs(order)  # slight non-linearity, A per px^2; an ESTIMATE like all field terms below
        d0, d1, d2 = p["u"] / order, sign * scale, bend
        # three- and six-term dependence on the position: some Angstrom and parts in a thousand from edge to edge
        ax, ay, axx, axy, ayy = 4e-4, -3e-4, 2e-8, 1e-8, -2e-8
        dldp = [terms(d0 - ax * xc - ay * yc + axx * xc**2 + axy * xc * yc + ayy * yc**2, ax - 2 * axx * xc - axy * yc,
                      ay - 2 * ayy * yc - axy * xc, axx, axy, ayy),
                terms(d1 * (1 - 2e-7 * xc - 1e-7 * yc), d1 * 2e-7, d1 * 1e-7), terms(d2)]
        ends = [extent(d0, d1, d2, l) for l in (lam[0], lam[-1])]
        lo, hi = min(ends) - 8, max(ends) + 8  # the field dependence moves them by a few px
    else:
        mid, half = 0.5 * (lam[0] + lam[-1]), 0.5 * (lam[-1] - lam[0])
        dldp = [terms(mid), terms(sign * 2 * half / ZEROTH_WIDTH_PX)]
        lo, hi = xoff - 0.5 * ZEROTH_WIDTH_PX - 0.5, xoff + 0.5 * ZEROTH_WIDTH_PX + 0.5
    bx, by, bxx, bxy, byy = 1.5e-7, -1e-7, 8e-12, -5e-12, 6e-12
    slope = terms(tilt - bx * xc - by * yc + bxx * xc**2 + bxy * xc * yc + byy * yc**2, bx - 2 * bxx * xc - bxy * yc,
                  by - 2 * byy * yc - bxy * xc, bxx, bxy, byy)
    at_order = xoff * tilt if not order else 0.0  # order 0 lies on the same tilted line
    lines = [f"# order {order:+d}" if order else "# order 0", f"BEAM{beam} {lo:.1f} {hi:.1f}", f"XOFF_{beam} {terms(xoff)}",
             f"YOFF_{beam} {terms(p['yoff'] + at_order - 2e-5 * xc, 2e-5, 0)}",
             f"DYDX_ORDER_{beam} 1", f"DYDX_{beam}_0 0", f"DYDX_{beam}_1 {slope}", f"DISP_ORDER_{beam} {len(dldp) - 1}"]
    lines += [f"DLDP_{beam}_{i} {t}" for i, t in enumerate(dldp)]
    return lines + [f"SENSITIVITY_{beam} {band}_{beam}.fits", ""]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for band in BANDS:
        for beam in ORDERS:
            write_sensitivity(band, beam)
        for side in SIDES:
            head = [f"# CSST {band}, grating on the {'low' if side == 'L' else 'high'} columns: wavelengths grow towards "
                    f"{'+' if SIDES[side] > 0 else '-'}x.", "# An ESTIMATE: made by tools/make_csst_instrument.py, which says how; "
                    "the real solution is not public.", "# FITS pixels; lambda in Angstrom, vacuum; conventions in docs/instrument.md.",
                    ""]
            body = sum((beam_lines(band, side, beam) for beam in ORDERS), [])
            (OUT / f"{band}_{side}.conf").write_text("\n".join(head + body).rstrip() + "\n")


if __name__ == "__main__":
    main()
