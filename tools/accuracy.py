#!/usr/bin/env python3
"""Called by accuracy.sh: accuracy.py WORKDIR MODELDIR --json | docs/accuracy.md. Prints the metrics as one JSON object, or remakes
what stands between <!-- NAME --> and <!-- end --> in the page."""
import json
import os
import re
import sys

import h5py
import numpy as np

PAPER = {"snr_gi>=1": 0.0104, "snr_gi>=3": 0.0047, "snr_gi>=5": 0.0037, "snr_gi>=10": 0.0024}
SETS = ("clean", "full", "clean_template", "clean_oracle", "full_template", "full_oracle", "paper_net")
CUTS = ("all", *PAPER)


def load(work):
    return {n[:-5]: json.load(open(os.path.join(work, n))) for n in sorted(os.listdir(work)) if n.endswith(".json")}


def selection(m):
    """The selections with a number of sources, without their bootstrap errors' nulls."""
    return {k: {q: x for q, x in v.items() if x is not None} for k, v in m.items() if isinstance(v, dict) and "sigma_nmad" in v}


def num(x, digits=4):
    return "–" if x is None else f"{x:.{digits}f}"


def pct(x):
    return "–" if x is None else f"{100 * x:.1f}"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def main_table(docs):
    rows = []
    names = {"clean": "clean, network", "clean_oracle": "clean, oracle", "clean_template": "clean, template fit", "full": "full, network",
             "full_template": "full, template fit", "paper_net": "clean, the paper's network"}
    for key, name in names.items():
        if key not in docs:
            continue
        for cut in CUTS:
            m = docs[key][cut]
            if m["n"]:
                err = f" ± {m['sigma_nmad_err']:.4f}" if m.get("sigma_nmad_err") else ""
                rows.append((name, cut, m["n"], num(m["sigma_nmad"], 5) + err, num(PAPER.get(cut)), num(m["bias"], 5), pct(m["outlier_0.02"]),
                             pct(m["outlier_0.15"]), num(m["mean_e"]), num(m["nll_u"], 2), num(m["crps"])))
    return table(("set and method", "SNR_GI", "n", "sigma_NMAD", "paper", "bias", "> 0.02 [%]", "> 0.15 [%]", "mean E/(1+z)", "NLL (u)", "CRPS"), rows)


def baseline_table(docs):
    """Network, template fit and oracle on the same stamps."""
    rows = []
    for data in ("clean", "full"):
        oracle = docs.get(f"{data}_oracle")
        for key, name in (("same", "network"), ("template", "template fit"), ("oracle", "oracle")):
            m = docs.get(f"{data}_{key}")
            if not m:
                continue
            for cut in PAPER:
                c, o = m[cut], oracle[cut] if oracle else {"n": 0}
                ratio = num(c["sigma_nmad"] / o["sigma_nmad"], 2) if o["n"] and c["n"] and o["sigma_nmad"] else "–"
                rows.append((f"{data}, {name}", cut, c["n"], num(c["sigma_nmad"], 5), ratio, pct(c["outlier_0.02"]), pct(c["outlier_0.15"]),
                             num(c["nll_u"], 2), num(c["crps"], 5), num(c["pit_ks"], 3), f"{pct(c['coverage_68'])} / {pct(c['coverage_95'])}"))
    return table(("set and method", "SNR_GI", "n", "sigma_NMAD", "over the oracle's", "> 0.02 [%]", "> 0.15 [%]", "NLL (u)", "CRPS", "PIT KS",
                  "in 68 / 95 % [%]"), rows)


def calibration_table(docs):
    rows = []
    for key in ("clean", "full"):
        for sel, m in selection(docs[key]).items() if key in docs else ():
            if m["n"] >= 100 and (sel == "all" or sel.startswith(("snr_gi[", "z["))):
                rows.append((key, sel, m["n"], num(m["pit_ks"], 3), num(1.36 / m["n"] ** 0.5, 3), pct(m["coverage_68"]), pct(m["coverage_95"]), num(m["ece"], 3)))
    return table(("set", "selection", "n", "PIT KS", "95 % of perfect PDFs below", "in 68 % [%]", "in 95 % [%]", "ECE"), rows)


def confidence_table(docs):
    rows = []
    for key in ("clean", "full"):
        for name in ("odds", "p_good"):
            r = docs.get(key, {}).get("reliability", {}).get(name)
            for b in r["bins"] if r and r["n"] else ():
                rows.append((key, name, b["n"], num(b["claimed"], 3), num(b["found"], 3)))
    return table(("set", "measure", "n", "claimed", "found right to 0.01 (1+z)"), rows)


def purity_table(docs):
    rows = []
    for key in ("clean", "full"):
        for entry in ("confidence", "confidence_p_good"):
            c = docs.get(key, {}).get(entry, {})
            for goal in ("purity_95", "purity_99"):
                if goal in c:
                    p = c[goal]
                    rows.append((key, c["confidence"], num(p["threshold"], 3), pct(p["efficiency"]), pct(p["purity"]), pct(p["completeness"])))
    return table(("set", "cut in", "at least", "kept [%]", "right to 0.02 (1+z) [%]", "completeness [%]"), rows)


def robust_table(docs):
    rows = []
    order = {"wave": "wavelength zero point, px (either grating, one way)", "dispersion": "dispersion, relative rms", "trace": "trace, px rms",
             "psf": "PSF width, relative rms", "sky": "sky structure, relative rms", "exposures": "exposures instead of 4"}
    for kind, text in order.items():
        found = [(float(k.rsplit("-", 1)[1]), m["snr_gi>=1"], m["snr_gi>=5"]) for k, m in docs.items() if k.startswith(f"robust-{kind}-")]
        for x, a, b in sorted(found, key=lambda t: t[0]):
            rows.append((text, f"{x:g}", a["n"], num(a["sigma_nmad"], 5), num(b["sigma_nmad"], 5), num(a["bias"], 5), pct(a["outlier_0.02"]),
                         pct(a["coverage_68"]), num(a["pit_ks"], 3), num(a["nll_u"], 2)))
    return table(("error", "size", "n", "NMAD ≥ 1", "NMAD ≥ 5", "bias", "> 0.02 [%]", "in 68 % [%]", "PIT KS", "NLL (u)"), rows)


def columns(work, name):
    with h5py.File(os.path.join(work, name + ".hdf5")) as f, h5py.File(os.path.join(work, name + ".truth.h5")) as t:
        c = {k: f["ancil"][k][:] for k in ("object_id", "mutual_info", "p_good", "snr_gi", "flags")}
        kind = {k.lower(): k for k in t}
        c["kind"] = np.char.strip(t[kind["spectype"]][:].astype("U8"), "\x00 ")
    return c


def auroc(value, base, snr, base_snr):
    """P(value > base) at equal SNR: the mean over bins of SNR, weighted by the number of strange ones."""
    edges, total, n = [0, 1.5, 2.5, 4, 8, np.inf], 0.0, 0
    for lo, hi in zip(edges, edges[1:]):
        a, b = value[(snr >= lo) & (snr < hi)], np.sort(base[(base_snr >= lo) & (base_snr < hi)])
        if len(a) and len(b) >= 20:
            rank = 0.5 * (np.searchsorted(b, a, "left") + np.searchsorted(b, a, "right")) / len(b)
            total += rank.sum()
            n += len(a)
    return (total / n, n) if n else (None, 0)


def strange_table(work):
    if not os.path.exists(os.path.join(work, "strange.hdf5")):
        return ""
    full, strange = columns(work, "full"), columns(work, "strange")
    ok = (full["kind"] == "GALAXY") & (full["flags"] & 1 == 0) & np.isfinite(full["mutual_info"])
    base = {k: v[ok] for k, v in full.items()}
    groups = {}
    for word, kind in (("stars", "STAR"), ("quasars", "QSO")):
        s = (strange["kind"] == kind) & np.isfinite(strange["mutual_info"])
        groups[word] = {k: v[s] for k, v in strange.items()}
    for word, bit in (("GV missing", 2), ("GI missing", 4), ("contaminated by over 20 %", 32)):
        s = base["flags"] & bit != 0
        groups[word] = {k: v[s] for k, v in base.items()}
    plain = base["flags"] & (2 | 4 | 32) == 0
    rows = []
    for word, g in groups.items():
        mi, n = auroc(g["mutual_info"], base["mutual_info"][plain], g["snr_gi"], base["snr_gi"][plain])
        if n < 10:
            continue
        bad, _ = auroc(-g["p_good"], -base["p_good"][plain], g["snr_gi"], base["snr_gi"][plain])
        rows.append((word, n, num(mi, 2), num(bad, 2), pct(np.mean(g["flags"] & 16384 != 0))))
    rows.append(("galaxies of the full set", int(plain.sum()), "0.50", "0.50", pct(np.mean(base["flags"][plain] & 16384 != 0))))
    return table(("stamps", "n", "AUROC, mutual information", "AUROC, 1 − p_good", "flagged `unusual` [%]"), rows)


def model_table(models):
    """Card of each committed model."""
    rows = []
    for name in sorted(os.listdir(models)):
        with h5py.File(os.path.join(models, name)) as f:
            card, n = json.loads(f["card"][:].tobytes()), sum(f["weights"][w].size for w in f["weights"])
            v, c = card.get("validation", {}).get("all", {}), card.get("calibration", {})
            rows.append((f"`{name}`", n, card.get("n_stamps", "–"), card.get("stamps_seen", "–"), card.get("settings", {}).get("seed", "–"),
                         f"`{card.get('data_hash', '–')[:16]}`", f"{card.get('training_s', 0):.0f} s on {card.get('ranks', '–')} rank(s)",
                         num(v.get("nll_u"), 3), c.get("n", "none"), card.get("made_by", "–")))
    return table(("model", "weights", "stamps", "passes", "seed", "data hash", "wall time", "validation NLL (u)", "calibrated on", "made by"), rows)


def fill(page, parts):
    text = open(page, encoding="utf-8").read()
    for name, body in parts.items():
        text, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m: m[1] + (body + "\n" if body else "") + m[2], text, flags=re.S)
        if n != 1:
            sys.exit(f"{page}: no place for the table '{name}'")
    open(page, "w", encoding="utf-8").write(text)


def main(work, models, target):
    docs = load(work)
    if target == "--json":
        json.dump({k: selection(docs[k]) for k in SETS if k in docs}, sys.stdout, indent=1)
        print()
        return
    parts = {"models": model_table(models), "accuracy": main_table(docs), "baselines": baseline_table(docs), "calibration": calibration_table(docs), "reliability": confidence_table(docs),
             "purity": purity_table(docs), "strange": strange_table(work)}
    robust = robust_table(docs)
    if any(k.startswith("robust-") for k in docs):
        parts["robustness"] = robust
    fill(target, parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
