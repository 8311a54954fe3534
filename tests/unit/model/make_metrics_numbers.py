#!/usr/bin/env python3
"""Remakes metrics_numbers.h: what numpy and scipy (and qp, where it defines the same number) say about the PDFs of
test_metrics.c. Needs numpy and scipy; with qp-prob installed (pip install qp-prob) it also asserts that qp agrees.

    make_metrics_numbers.py > tests/unit/model/metrics_numbers.h"""
import sys

import numpy as np
import scipy
from scipy import stats

N, BINS, U0, DU = 240, 64, 0.01, 0.015


def frac(i, step):
    x = (i + 1) * step
    return x - np.floor(x)


def make_rows():
    """The rows of test_metrics.c, formula by formula."""
    i = np.arange(N)
    a, b, c = frac(i, 0.6180339887498949), frac(i, 0.7548776662466927), frac(i, 0.5698402909980532)
    z_true = 0.05 + 1.4 * a
    sd = 0.01 + 0.03 * b
    centre = np.log1p(z_true) + 3 * sd * (c - 0.5) + np.where(i % 17 == 0, 0.2, 0.0)
    z_true = np.where(i % 60 == 59, 2.0, z_true)  # beyond the grid
    u = U0 + (np.arange(BINS) + 0.5) * DU
    p = np.exp(-0.5 * ((u - centre[:, None]) / sd[:, None]) ** 2) + 0.02 * np.exp(-0.5 * ((u - 0.5) / 0.1) ** 2)
    return z_true, np.expm1(centre).astype("f4"), np.expm1(centre + 0.1 * sd).astype("f4"), p.astype("f4"), i % 12


def scores(z_true, density):
    edge = np.expm1(U0 + np.arange(BINS + 1) * DU)
    w, mid = np.diff(edge), 0.5 * (edge[1:] + edge[:-1])
    prob = density.astype("f8") * w
    prob /= prob.sum(1, keepdims=True)
    p = prob / w
    out = {}
    cdf = np.concatenate([np.zeros((N, 1)), np.cumsum(prob, 1)], 1)
    out["pit"] = np.array([np.interp(z, edge, f, left=0, right=1) for z, f in zip(z_true, cdf)])
    mean = prob @ mid
    out["sigma"] = np.sqrt((prob * ((mid - mean[:, None]) ** 2 + w**2 / 12)).sum(1))
    t = np.searchsorted(edge, z_true, side="right") - 1
    inside = t < BINS
    tt = np.minimum(t, BINS - 1)
    row = np.arange(N)
    p_t = np.where(inside, p[row, tt], 0.0)
    prob_t = np.where(inside, prob[row, tt], 0.0)
    out["ln_p"] = np.log(np.maximum(p_t, 1e-10))
    out["ln_p_u"] = np.log(np.maximum(prob_t / DU, 1e-10))
    out["cde"] = (prob * p).sum(1) - 2 * p_t
    hit = (np.arange(BINS) == t[:, None]).astype("f8")
    out["brier"] = ((prob - hit) ** 2).sum(1)
    out["hpd"] = np.where(inside, (prob * (p > p_t[:, None])).sum(1) + 0.5 * prob_t, 1.0)
    # CRPS as E|X-z| - E|X-X'|/2, another road than the integral of the squared CDF
    d = z_true[:, None]
    away = np.abs(mid - d)
    within = ((d - edge[:-1]) ** 2 + (edge[1:] - d) ** 2) / (2 * w)
    e_xz = np.where((d > edge[:-1]) & (d < edge[1:]), within, away)
    e_xx = np.abs(mid[:, None] - mid[None, :]) + np.diag(w / 3)
    out["crps"] = (prob * e_xz).sum(1) - 0.5 * np.einsum("ni,ij,nj->n", prob, e_xx, prob)
    return out, edge, p


def point(z_p, z_t):
    dz = z_p.astype("f8") - z_t
    e = dz / (1 + z_t)
    iqr = stats.iqr(e) / 1.349
    return {
        "SIGMA_NMAD": 1.48 * np.median(np.abs(dz - np.median(dz)) / (1 + z_t)),
        "SIGMA_MAD": 1.4826 * stats.median_abs_deviation(e),
        "SIGMA_IQR": iqr,
        "BIAS": np.median(e),
        "BIAS_MEAN": e.mean(),
        "OUTLIER_002": np.mean(np.abs(e) > 0.02),
        "OUTLIER_015": np.mean(np.abs(e) > 0.15),
        "OUTLIER_3SIGMA": np.mean(np.abs(e) > max(0.06, 3 * iqr)),
        "OUTLIER_1000KMS": np.mean(299792.458 * np.abs(e) > 1000),
    }


def metrics(rows):
    z_t, z_p, z_m, density, _ = rows
    s, edge, p = scores(z_t, density)
    m = point(z_p, z_t)
    med = point(z_m, z_t)
    for k in ("SIGMA_NMAD", "BIAS", "OUTLIER_002", "OUTLIER_015"):
        m[k + "_MEDIAN"] = med[k]
    pull = (z_p.astype("f8") - z_t) / s["sigma"]
    pit = s["pit"]
    u = np.sort(pit)
    levels = np.arange(1, 100) / 100
    qq = np.abs(np.quantile(u, levels, method="inverted_cdf") - levels)
    alpha = np.linspace(0.05, 0.95, 20)
    cover = np.array([np.mean(np.abs(2 * pit - 1) <= a) for a in alpha])
    uc = np.clip(u, 1e-9, 1 - 1e-9)
    i = np.arange(1, len(u) + 1)
    uniform = stats.uniform()
    m.update(
        MEAN_E=np.mean(s["sigma"] / (1 + z_t)),
        PULL_MEAN=pull.mean(),
        PULL_STD=pull.std(),
        PIT_KS=stats.kstest(pit, "uniform").statistic,
        PIT_CVM=stats.cramervonmises(pit, "uniform").statistic,
        PIT_AD=-len(u) - np.sum((2 * i - 1) / len(u) * (uniform.logcdf(uc) + uniform.logsf(uc[::-1]))),
        PIT_OUTLIER=np.mean((pit < 1e-4) | (pit > 0.9999)),
        QQ_MAX=qq.max(),
        QQ_MEAN=qq.mean(),
        COVERAGE_68=np.mean(np.abs(2 * pit - 1) <= 0.68),
        COVERAGE_95=np.mean(np.abs(2 * pit - 1) <= 0.95),
        HPD_68=np.mean(s["hpd"] <= 0.68),
        HPD_95=np.mean(s["hpd"] <= 0.95),
        ECE=np.mean(np.abs(cover - alpha)),
        CRPS=s["crps"].mean(),
        CDE_LOSS=s["cde"].mean(),
        NLL=-s["ln_p"].mean(),
        NLL_U=-s["ln_p_u"].mean(),
        BRIER=s["brier"].mean(),
    )
    return m, edge, p


def check_with_qp(rows, m, edge, p):
    import qp
    from qp.metrics.brier import Brier
    from qp.metrics.goodness_of_fit import goodness_of_fit_metrics
    from qp.metrics.pit import PIT
    from qp.metrics import point_estimate_metric_classes as pe

    z_t, z_p = rows[0], rows[1].astype("f8")
    ens = qp.Ensemble(qp.hist, data=dict(bins=edge, pdfs=p))
    pits = PIT(ens, z_t)
    assert np.isclose(pits.evaluate_PIT_KS().statistic, m["PIT_KS"], rtol=1e-6)
    assert np.isclose(pits.evaluate_PIT_CvM().statistic, m["PIT_CVM"], rtol=1e-6)
    # not qp's PIT outlier rate: that one comes from 100 quantiles of the PITs, not from the PITs
    clipped = np.clip(pits.pit_samps, 1e-9, 1 - 1e-9)
    assert np.isclose(goodness_of_fit_metrics["ad"](stats.uniform(), clipped), m["PIT_AD"], rtol=1e-6)
    prob = p * np.diff(edge)
    truth = ((z_t[:, None] >= edge[:-1]) & (z_t[:, None] < edge[1:])).astype("f8")
    assert np.isclose(np.mean(np.sum((prob - truth) ** 2, 1)), m["BRIER"])
    assert np.isclose(pe.PointSigmaIQR().evaluate(z_p, z_t), m["SIGMA_IQR"])
    assert np.isclose(pe.PointBias().evaluate(z_p, z_t), m["BIAS"])
    assert np.isclose(pe.PointSigmaMAD().evaluate(z_p, z_t), m["SIGMA_MAD"])
    assert np.isclose(pe.PointOutlierRate().evaluate(z_p, z_t), m["OUTLIER_3SIGMA"])
    inside = (z_t < edge[-1]).nonzero()[0]  # Brier of qp refuses rows without a true bin
    qp_brier = Brier(prob[inside], truth[inside]).evaluate()
    assert np.isclose(qp_brier, np.mean(np.sum((prob[inside] - truth[inside]) ** 2, 1)))
    return f"qp {qp.__version__} agrees"


def main():
    rows = make_rows()
    m, edge, p = metrics(rows)
    try:
        said = check_with_qp(rows, m, edge, p)
    except ImportError:
        said = "qp was not there to agree"
    print(f"/* Made by make_metrics_numbers.py: numpy {np.__version__}, scipy {scipy.__version__}; {said}. */")
    print("static const struct {\n  nsl_metric metric;\n  double value;\n} expected[] = {")
    for k, v in m.items():
        print(f"    {{NSL_METRIC_{k}, {v:.15g}}},")
    print("};")
    # a bootstrap draw is the sample with rows repeated: unit u = i % 12 taken u % 3 times
    rep = np.repeat(np.arange(N), rows[4] % 3)
    m2, _, _ = metrics_of_repeat(rows, rep)
    print("/* The same with unit u (row % 12) taken u % 3 times. */")
    print("static const struct {\n  nsl_metric metric;\n  double value;\n} expected_draw[] = {")
    for k, v in m2.items():
        print(f"    {{NSL_METRIC_{k}, {v:.15g}}},")
    print("};")


def metrics_of_repeat(rows, rep):
    global N
    keep, N = N, len(rep)
    try:
        return metrics(tuple(r[rep] for r in rows))
    finally:
        N = keep


if __name__ == "__main__":
    sys.exit(main())
