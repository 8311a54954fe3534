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
SETS = ("clean", "full", "clean_template", "clean_oracle", "full_template", "full_oracle", "paper_net", "clean_default", "robust_net")
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
    names = {"clean": "clean, network (`clean.h5`)", "clean_default": "clean, `default.h5`", "clean_oracle": "clean, oracle", "clean_template": "clean, template fit", "full": "full, network (`default.h5`)",
             "full_template": "full, template fit", "robust_net": "clean, `robust.h5`", "paper_net": "clean, the paper's head (`paper.h5`)"}
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
        for key, name in (("same", "network"), ("paper", "`paper.h5`"), ("small", "`paper_small.h5`"), ("template", "template fit"), ("oracle", "oracle")):
            m = docs.get(f"{key}_same" if data == "clean" and key in ("paper", "small") else f"{data}_{key}")
            if not m:
                continue
            for cut in PAPER:
                c, o = m[cut], oracle[cut] if oracle else {"n": 0}
                ratio = num(c["sigma_nmad"] / o["sigma_nmad"], 2) if o["n"] and c["n"] and o["sigma_nmad"] else "–"
                rows.append((f"{data}, {name}", cut, c["n"], num(c["sigma_nmad"], 5), ratio, pct(c["outlier_0.02"]), pct(c["outlier_0.15"]),
                             num(c["nll_u"], 2), num(c["crps"], 5), num(c["pit_ks"], 3), f"{pct(c['coverage_68'])} / {pct(c['coverage_95'])}"))
    return table(("set and method", "SNR_GI", "n", "sigma_NMAD", "over the oracle's", "> 0.02 [%]", "> 0.15 [%]", "NLL (u)", "CRPS", "PIT KS",
                  "in 68 / 95 % [%]"), rows)


def ks_uniform(u):
    u, n = np.sort(u), len(u)
    return max(np.max(np.arange(1, n + 1) / n - u), np.max(u - np.arange(n) / n)) if n else np.nan


def perfect_ks(work, name, selections, draws=40):
    """The PIT KS that 95 % of perfect PDFs stay below, by selection: true redshifts are drawn from the PDFs themselves. In bins of the
    true redshift that is not noise alone: wide PDFs reach to higher redshifts more than to lower ones."""
    rng = np.random.default_rng(1)
    with h5py.File(os.path.join(work, name + ".hdf5")) as f:
        ok = (f["ancil/flags"][:] & 1) == 0
        edges, pdf = f["meta/bins"][:].ravel(), f["data/pdfs"][:][ok].astype(np.float64)
        c = {k: f["ancil"][k][:][ok] for k in ("snr_gi", "z_mode")}
    cdf = np.cumsum(pdf * np.diff(edges), axis=1)
    cdf /= cdf[:, -1:]
    found = {s: [] for s in selections}
    for _ in range(draws):
        u = rng.random(len(cdf))
        bins = (cdf < u[:, None]).sum(axis=1)
        c["z"] = edges[bins] + rng.random(len(cdf)) * np.diff(edges)[bins]
        for s in selections:
            axis, _, rest = s.partition("[")
            lo, hi = (float(x) for x in rest.rstrip(")").split(",")) if rest else (-np.inf, np.inf)
            value = c["z" if s == "all" else axis]
            found[s].append(ks_uniform(u[(value >= lo) & (value < hi)]))
    return {s: float(np.percentile(x, 95)) for s, x in found.items()}


def calibration_table(docs, work):
    rows = []
    for key in ("clean", "full"):
        if key not in docs:
            continue
        chosen = {s: m for s, m in selection(docs[key]).items() if m["n"] >= 100 and (s == "all" or s.startswith(("snr_gi[", "z_mode[", "z[")))}
        perfect = perfect_ks(work, key, list(chosen))
        for sel, m in chosen.items():
            rows.append((key, sel, m["n"], num(m["pit_ks"], 3), num(perfect[sel], 3), pct(m["coverage_68"]), pct(m["coverage_95"]), num(m["ece"], 3)))
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


def halves_table(work):
    """The brighter and the surer half of the sources: how many are wrong by more than 0.02 (1 + z)."""
    rows = []
    for name in ("clean", "full"):
        c = columns(work, name, ("z_mode", "odds"))
        ok = (c["kind"] == "GALAXY") & (c["flags"] & 1 == 0) & (c["snr_gi"] >= 1)
        wrong = np.abs(c["z_mode"] - c["z"]) > 0.02 * (1 + c["z"])
        for word, key in (("all", None), ("brighter half (SNR_GI)", "snr_gi"), ("surer half (odds)", "odds"), ("surer half (p_good)", "p_good")):
            keep = ok if key is None else ok & (c[key] >= np.median(c[key][ok]))
            rows.append((name, word, int(keep.sum()), pct(keep.sum() / ok.sum()), pct(np.mean(wrong[keep]))))
    return table(("set, SNR_GI ≥ 1", "kept", "n", "of all [%]", "> 0.02 [%]"), rows)


WAVE = {"wave": "wavelength zero point, px, both bands alike", "wave_GV": "the same, GV only", "wave_GI": "the same, GI only"}
ERRORS = {**WAVE, "dispersion": "dispersion, relative rms", "trace": "trace, px rms", "psf": "PSF width, relative rms",
          "sky": "sky structure, relative rms", "exposures": "exposures instead of 4"}


def robust_series(docs, model, kind):
    """(size, metrics of SNR_GI >= 1, of SNR_GI >= 5), by size."""
    prefix = f"{model}-{kind}-"
    return sorted(((float(k[len(prefix):]), m["snr_gi>=1"], m["snr_gi>=5"]) for k, m in docs.items() if k.startswith(prefix)), key=lambda t: t[0])


def robust_row(model, text, size, a, b):
    return (text, size, model, a["n"], num(a["sigma_nmad"], 5), num(b["sigma_nmad"], 5), num(a["bias"], 5), pct(a["outlier_0.02"]),
            pct(a["coverage_68"]), pct(a["coverage_95"]), num(a["pit_ks"], 3), num(a["nll_u"], 2))


def robust_table(docs):
    rows = []
    for kind, text in ERRORS.items():
        models = {m: robust_series(docs, m, kind) for m in ("default", "robust")}
        for lines in zip(*(s for s in models.values() if s)):
            rows += [robust_row(m, text, f"{x:g}", a, b) for m, (x, a, b) in zip(models, lines)]
    full = docs.get("full", {})
    for key, text, size in [(k, "contamination (full set, all SNR)", k[13:]) for k in full if k.startswith("contamination[")] + \
            [(f"flag:{w}", f"no {w[:2].upper()} (full set, all SNR)", "") for w in ("gv_missing", "gi_missing")]:
        if key in full and full[key]["n"] >= 30:
            rows.append(robust_row("default", text, size, full[key], {"sigma_nmad": None}))
    return table(("error", "size", "model", "n", "NMAD ≥ 1", "NMAD ≥ 5", "bias", "> 0.02 [%]", "in 68 % [%]", "in 95 % [%]", "PIT KS", "NLL (u)"), rows)


def robust_plot(docs, path):
    """Accuracy, bias and coverage against the error of the wavelength zero point."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = (("sigma_nmad", "sigma_NMAD", True), ("bias", "bias", False), ("coverage_68", "in the 68 % interval", False))
    fig, axes = plt.subplots(1, 3, figsize=(12, 4), constrained_layout=True)
    for ax, (key, label, log) in zip(axes, panels):
        for (kind, text), style in zip((("wave", "both bands"), ("wave_GV", "GV only"), ("wave_GI", "GI only")), ("-o", "--s", ":^")):
            for model, colour in (("default", "C0"), ("robust", "C3")):
                s = robust_series(docs, model, kind) if kind == "wave" else robust_series(docs, model, "wave")[:1] + robust_series(docs, model, kind)
                ax.plot([x for x, _, _ in s], [a[key] for _, a, _ in s], style, color=colour, ms=4, lw=1.3, label=f"{model}.h5, {text}")
        ax.set_xscale("symlog", linthresh=0.5)
        ax.set_xlim(-0.03, 60)
        ticks = [0, 0.5, 1, 2, 5, 10, 48]
        ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
        ax.minorticks_off()
        ax.set_xlabel("error of the wavelength zero point [px]")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
        if log:
            ax.set_yscale("log")
        if key == "coverage_68":
            ax.axhline(0.683, color="k", lw=0.8)
            ax.set_ylim(0, 1)
    axes[0].legend(fontsize=8)
    fig.savefig(path, dpi=110)


def columns(work, name, more=()):
    with h5py.File(os.path.join(work, name + ".hdf5")) as f, h5py.File(os.path.join(work, name + ".truth.h5")) as t:
        c = {k: f["ancil"][k][:] for k in ("object_id", "mutual_info", "p_good", "snr_gi", "flags", *more)}
        kind = {k.lower(): k for k in t}
        c["z"] = t[kind["z"]][:]
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
    parts = {"models": model_table(models), "accuracy": main_table(docs), "baselines": baseline_table(docs), "calibration": calibration_table(docs, work), "reliability": confidence_table(docs),
             "purity": purity_table(docs), "halves": halves_table(work), "strange": strange_table(work)}
    if robust_series(docs, "default", "wave"):
        parts["robustness"] = robust_table(docs)
        robust_plot(docs, os.path.join(os.path.dirname(target), "images", "robustness.png"))
    fill(target, parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
