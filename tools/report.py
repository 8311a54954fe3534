#!/usr/bin/env python3
"""The validation report: one HTML page that needs no network, from what `noslit validate --report DIR` has written.

    report.py --metrics DIR/metrics.json --matched DIR/matched.h5 --catalogue CATALOGUE.hdf5 --out DIR"""
import argparse
import base64
import html
import io
import json
import os

import h5py
import numpy as np

import report_figures as fig

SELECTIONS = ("all", "snr_gi>=1", "snr_gi>=3", "snr_gi>=5", "snr_gi>=10", "flags==0")
TABLE = (  # key, heading, digits
    ("n", "N", 0), ("sigma_nmad", "σ<sub>NMAD</sub>", 5), ("bias", "bias", 5), ("outlier_0.02", "&gt; 0.02", 4), ("outlier_0.15", "&gt; 0.15", 4),
    ("mean_e", "E/(1+z)", 4), ("pit_ks", "PIT KS", 3), ("crps", "CRPS", 5), ("nll", "NLL", 2), ("coverage_68", "in 68 %", 3),
    ("coverage_95", "in 95 %", 3),
)
STYLE = """
:root{--ink:#1c2430;--soft:#5b6470;--line:#dfe3e8;--main:#1f5fa8;--paper:#d95f02}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);margin:0 auto;max-width:1240px;padding:1.2rem 1rem 3rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:2px solid var(--line);padding-bottom:.2rem}
p,li{max-width:75ch}.soft{color:var(--soft)}code{overflow-wrap:anywhere}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem;margin:1rem 0}
.number{border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}.number b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}
.number span{color:var(--soft);font-size:.86rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:1.1rem}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.6rem;break-inside:avoid;background:#fff}
figure img{width:100%;height:auto;display:block}figcaption{color:var(--soft);font-size:.88rem;margin-top:.3rem}figcaption b{color:var(--ink)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
td small{color:var(--soft);display:block}td:first-child small{display:inline}tr.few td{color:var(--soft)}td.paper{color:var(--paper)}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.15rem .9rem;font-size:.9rem}dt{font-family:ui-monospace,monospace}dd{margin:0}
@media(max-width:560px){body{padding:.7rem .6rem 2rem}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}h1{font-size:1.35rem}}
@media print{body{max-width:none;font-size:10.5pt;padding:0}.grid{grid-template-columns:1fr 1fr}.scroll{overflow:visible}
table{font-size:7.6pt}th,td{padding:.15rem .3rem}h2{break-after:avoid}details{display:block}}
"""


def image(figure, alt):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=150)
    fig.plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def panel(figure, title, text):
    if figure is None:
        return ""
    return f"<figure>{image(figure, title)}<figcaption><b>{html.escape(title)}.</b> {html.escape(text)}</figcaption></figure>"


def number(value, digits):
    if value is None:
        return "–"
    return f"{value:,.0f}" if digits == 0 else f"{value:.{digits}f}"


def selection_row(metrics, key):
    s = metrics[key]
    paper = metrics["meta"]["paper"].get(key, {})
    cells = [f"<td>{html.escape(key)}{' <small>few</small>' if s.get('few') else ''}</td>"]
    for k, _, digits in TABLE:
        err = s.get(k + "_err")
        cells.append(f"<td>{number(s[k], digits)}" + (f" <small>±{number(err, digits)}</small>" if err is not None else "") + "</td>")
        if k in ("sigma_nmad", "mean_e"):
            cells.append(f'<td class="paper">{number(paper.get(k), digits)}</td>')
    return f"<tr{' class=few' if s.get('few') else ''}>{''.join(cells)}</tr>"


def table(metrics, keys):
    head = "<th>selection</th>"
    for k, name, _ in TABLE:
        head += f"<th>{name}</th>" + ('<th class="paper">paper</th>' if k in ("sigma_nmad", "mean_e") else "")
    rows = "".join(selection_row(metrics, k) for k in keys if k in metrics)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def headline(metrics):
    m, cut = metrics["match"], metrics["snr_gi>=3"]
    pure = metrics["confidence"].get("purity_99", {})
    items = (
        (number(cut["sigma_nmad"], 5), f"σ<sub>NMAD</sub> of {cut['n']} at SNR<sub>GI</sub> ≥ 3 (paper {metrics['meta']['paper']['snr_gi>=3']['sigma_nmad']})"),
        (number(cut["outlier_0.02"], 4), "outliers &gt; 0.02 at SNR<sub>GI</sub> ≥ 3"),
        (number(metrics["all"]["pit_ks"], 3), "PIT KS, all"),
        (number(metrics["all"]["coverage_68"], 3), "truths inside their 68 % interval"),
        ("–" if not pure else f"{100 * pure['efficiency']:.0f} %", "of the sources can be kept at 99 % purity"),
        (number(m["matched"], 0), f"sources with truth, {number(100 * (m['completeness'] or 0), 1)} % with a PDF"),
    )
    return '<div class="numbers">' + "".join(f'<div class="number"><b>{b}</b><span>{t}</span></div>' for b, t in items) + "</div>"


def load(args):
    with open(args.metrics) as f:
        metrics = json.load(f)
    with h5py.File(args.matched, "r") as f:
        d = {k: f[k][()] for k in f}
        grid = f["stacked_pdf"].attrs["u0"], f["stacked_pdf"].attrs["du"]
    stacked = d.pop("stacked_pdf")
    edge_z = np.expm1(grid[0] + grid[1] * np.arange(len(stacked) + 1))
    with h5py.File(args.catalogue, "r") as f:
        cat = {k: f["ancil"][k][()] for k in ("ra", "dec", "flags")}
    d["e"] = (d["z_point"] - d["z_true"]) / (1 + d["z_true"])
    return metrics, d, stacked, edge_z, cat


def gallery(metrics, m, args, edge_z, words):
    """Failures in which the catalogue believed most."""
    if not metrics["worst"]:
        return "<p>No source is wrong by more than 0.02 (1+z).</p>"
    out = []
    with h5py.File(args.catalogue, "r") as f:
        for worst in metrics["worst"]:
            i = np.flatnonzero(m["row"] == worst["row"])[0]
            row = {k: v[i] for k, v in m.items()}
            names = [w for b, w in words if row["flags"] >> b & 1]
            text = (f"odds {row['odds']:.2f}, SNR_GI {row['snr_gi']:.1f}, mag {row['mag']:.1f}, contamination {row['contamination']:.2f}, "
                    f"{', '.join(names) or 'no flags'}")
            card = os.path.join(args.out, "cards", f"{row['object_id']}.h5")
            stamps = None
            if os.path.exists(card):
                with h5py.File(card, "r") as c:
                    stamps = c["flux"][()] if "flux" in c else None
            out.append(panel(fig.card(row, f["data/pdfs"][row["row"]], edge_z, stamps), f"{row['object_id']}", text))
    return f'<div class="grid">{"".join(out)}</div>'


def bin_tables(metrics):
    axes = []
    for k, v in metrics.items():
        if isinstance(v, dict) and v.get("axis") and v["axis"] not in axes:
            axes.append(v["axis"])
    out = ""
    for axis in axes:
        keys = [k for k, v in metrics.items() if isinstance(v, dict) and v.get("axis") == axis]
        out += f"<details><summary>by {html.escape(axis)} ({len(keys)} bins)</summary>{table(metrics, keys)}</details>"
    return out


def section(title, panels, note=""):
    panels = "".join(panels)
    note = f"<p class=soft>{note}</p>" if note else ""
    return f'<h2>{title}</h2>{note}<div class="grid">{panels}</div>' if panels else ""


def redshift_sections(metrics, m, stacked, edge_z):
    """m: matched sources with a PDF, at least two."""
    strips = "Linear within ±0.01, logarithmic beyond."
    bins = "Scatter, bias and outliers; bars are bootstrap errors and bin widths. Pale: fewer than 30 sources."
    axes = (("snr_gi", "SNR_GI"), ("snr_gv", "SNR_GV"), ("mag", "magnitude [AB]"), ("z", "true redshift"), ("z_mode", "redshift of the PDF's peak"), ("contamination", "contamination"),
            ("size_arcsec", "half-light radius [arcsec]"), ("wave_error_px", "injected wavelength error [px]"),
            ("wave_error_gv_px", "injected wavelength error, GV [px]"), ("wave_error_gi_px", "injected wavelength error, GI [px]"),
            ("dispersion_error", "injected error of the dispersion"), ("trace_error_px", "injected trace error [px]"),
            ("psf_error", "injected error of the PSF's width"), ("sky_error", "injected sky residual"),
            ("astrometric_error_arcsec", "error of the catalogue's position [arcsec]"))
    return (
        section("Redshifts", (
            panel(fig.zz(m), "Redshift against truth", "Lines mark the outlier limits."),
            panel(fig.residual(m, "z_true", "true redshift", False), "Error against redshift", strips),
            panel(fig.residual(m, "snr_gi", "SNR_GI", True), "Error against signal to noise", strips)))
        + section("Are the PDFs right?", (
            panel(fig.pit(m), "PIT", "Flat when calibrated; U-shaped when the PDFs are too narrow, humped when too wide, sloped when biased."),
            panel(fig.qq(m), "QQ", "Quantiles of the PITs against those of a uniform distribution, and their difference."),
            panel(fig.coverage(m), "Coverage", "How often intervals of a given probability hold the truth."),
            panel(fig.pull(m), "Pull", "E is the standard deviation of the PDF."),
            panel(fig.reliability(m), "Reliability of odds and p_good", "On the line, these probabilities are what they say. p_good is calibrated, odds are read off the PDF."),
            panel(fig.nz(m, stacked, edge_z), "n(z)", "Truth, sum of the PDFs, and point estimates of the same sources.")))
        + section("Where it works", [panel(fig.binned(metrics, axis, label), f"By {label}", bins) for axis, label in axes]))


def sky_section(metrics, d, cat, words):
    has, good = d["has_pdf"] != 0, np.abs(d["e"]) <= 0.02
    groups = {"ra": d["ra"], "dec": d["dec"], "lost": ~has, "good": has & good, "wrong": has & ~good}
    panels = [panel(fig.purity(metrics), "Purity and completeness", "Against a cut in odds, and in p_good; completeness counts sources without a PDF too.")]
    if len(cat["ra"]):
        panels.append(panel(fig.sky(cat, groups), "Sky", "Sources with truth in colour, the rest of the catalogue in grey (thinned when there are many)."))
        panels.append(panel(fig.flags(cat, words), "Flags", "Of all sources of the catalogue; a source can have several."))
    return section("Which redshifts to believe", panels)


def closing(metrics):
    meta, left = metrics["meta"], metrics["match"]["truth_table"]
    terms = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in meta["definitions"].items())
    text = (f"{left['rows']} rows read; left out: {left['zwarn']} with ZWARN, {left['not_primary']} not primary, {left['small_deltachi2']} with a "
            f"small DELTACHI2, {left['star']} stars, {left['qso']} quasars, {left['not_finite']} without a usable redshift or position.")
    return f"<h2>All bins</h2>{bin_tables(metrics)}<h2>Definitions</h2><dl>{terms}</dl><h2>Truth table</h2><p>{html.escape(text)}</p>"


def page(metrics, d, stacked, edge_z, cat, args):
    meta, match, boot = metrics["meta"], metrics["match"], metrics["meta"]["bootstrap"]
    m = {k: v[d["has_pdf"] != 0] for k, v in d.items()}
    words = [(f["bit"], f["word"]) for f in meta["flags"]]
    what = (f"{match['matched']} of {match['n_truth']} true redshifts matched by {match['by']}, {match['ambiguous']} ambiguous; "
            f"{match['n_catalogue']} sources in the catalogue, {match['n_catalogue_no_pdf']} without a PDF. noslit {meta['noslit']}.")
    how = (f"Point estimate: {meta['point_estimate']}. SNR_GI from the {meta['snr_gi']}. Errors: {boot['draws']} bootstrap draws over "
           f"{boot['units']} {'sources' if boot['unit'] == 'source' else 'sky pixels'}. Paper: {meta['paper']['source']}.")
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>noslit validation</title><style>{STYLE}</style></head><body><h1>Redshift validation</h1>"
        f"<p class=soft><code>{html.escape(meta['catalogue'])}</code> against <code>{html.escape(meta['truth'])}</code>: {html.escape(what)}</p>"
        + headline(metrics)
        + "<h2>Numbers</h2>" + table(metrics, SELECTIONS) + f"<p class=soft>{html.escape(how)}</p>"
        + (redshift_sections(metrics, m, stacked, edge_z) if len(m["e"]) >= 2 else "")
        + sky_section(metrics, d, cat, words)
        + "<h2>Confident failures</h2><p class=soft>Wrong by more than 0.02 (1+z), those with the highest odds first.</p>"
        + gallery(metrics, m, args, edge_z, words)
        + closing(metrics) + "</body></html>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("metrics", "matched", "catalogue", "out"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    text = page(*load(args), args)
    target = os.path.join(args.out, "index.html")
    with open(target + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(target + ".tmp", target)


if __name__ == "__main__":
    main()
