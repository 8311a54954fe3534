#include "pipe/infer_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define FAR_BELOW (-1e30f) /* logit of the padding: probability 0 */

typedef float vf __attribute__((vector_size(LANES * sizeof(float))));
typedef unsigned vu __attribute__((vector_size(LANES * sizeof(float))));
typedef int vi __attribute__((vector_size(LANES * sizeof(float))));

typedef struct {
  float s, sd, si, sii; /* sums of e, e d, e i, e i^2 with e = exp(d), d = l - max l, i = bin - centre */
} softmax_sums;

/* exp of the differences to the largest logit, and the sums that moments and entropy need: one pass, no branches, no libm. In
 * vectors of 8 lanes whatever the processor has, so that the bits are the same everywhere; a NaN in l ends up in the sums.
 * exp(d) = 2^k exp(r), k the integer nearest to d log2(e), |r| <= ln 2 / 2; Taylor to r^6 has a relative error of 2e-8. */
static inline __attribute__((always_inline)) void softmax_body(int n, const float *l, float centre, float *e, softmax_sums *out)
{
  const vf zero = {0}, magic = zero + 12582912.f, low = zero - 87.f;
  const vf step = zero + (float)LANES;
  const vf *lv = (const vf *)l;
  vf *ev = (vf *)e;
  vf peak = lv[0], s = zero, sd = zero, si = zero, sii = zero;
  for (int j = 1; j < n / LANES; j++) {
    vi above = lv[j] > peak;
    peak = (vf)(((vi)lv[j] & above) | ((vi)peak & ~above));
  }
  float top = peak[0];
  for (int j = 1; j < LANES; j++) { top = peak[j] > top ? peak[j] : top; }
  vf i = {0, 1, 2, 3, 4, 5, 6, 7};
  i = i - centre;
  for (int j = 0; j < n / LANES; j++) {
    vf d = lv[j] - top;
    vi tiny = d < low;
    d = (vf)(((vi)low & tiny) | ((vi)d & ~tiny));
    vf t = d * 1.44269504f + magic, k = t - magic;
    vf r = (d - k * 0.693359375f) - k * -2.12194440e-4f;
    vf p = ((((((r * 1.38888889e-3f + 8.33333333e-3f) * r + 4.16666667e-2f) * r + 1.66666667e-1f) * r + 0.5f) * r + 1.f) * r) + 1.f;
    vf x = (vf)((vu)p + ((vu)t << 23));
    ev[j] = x;
    s += x;
    sd += x * d;
    si += x * i;
    sii += x * i * i;
    i += step;
  }
  *out = (softmax_sums){0, 0, 0, 0};
  for (int j = 0; j < LANES; j++) {
    out->s += s[j];
    out->sd += sd[j];
    out->si += si[j];
    out->sii += sii[j];
  }
}

static void softmax_plain(int n, const float *l, float centre, float *e, softmax_sums *out) { softmax_body(n, l, centre, e, out); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void softmax_avx2(int n, const float *l, float centre, float *e, softmax_sums *out)
{
  softmax_body(n, l, centre, e, out);
}
#endif

static void softmax_sum(int n, const float *l, float centre, float *e, softmax_sums *out)
{
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    softmax_avx2(n, l, centre, e, out);
    return;
  }
#endif
  softmax_plain(n, l, centre, e, out);
}

nsl_status nsl_sample_kernel_init(nsl_sample_kernel *k, const nsl_model *model, nsl_error *err)
{
  *k = (nsl_sample_kernel){.head = model->head, .grid = model->grid, .per_temperature = (float)(1 / model->temperature)};
  k->n_padded = (model->grid.n + LANES - 1) / LANES * LANES;
  k->work = aligned_alloc(64, ((size_t)k->n_padded * 2 * sizeof(float) + 63) / 64 * 64);
  if (!k->work) { return nsl_fail(err, NSL_E_NOMEM, "a PDF of %d bins", model->grid.n); }
  for (int i = 0; i < 2 * k->n_padded; i++) { k->work[i] = FAR_BELOW; }
  return NSL_OK;
}

void nsl_sample_kernel_free(nsl_sample_kernel *k)
{
  free(k->work);
  k->work = NULL;
}

void nsl_samples_clear(const nsl_sample_kernel *k, nsl_samples *s)
{
  float *sum = s->sum, *odd = s->odd;
  memset(sum, 0, (size_t)k->grid.n * sizeof *sum);
  memset(odd, 0, (size_t)k->grid.n * sizeof *odd);
  *s = (nsl_samples){.sum = sum, .odd = odd};
}

static void add_moments(nsl_samples *s, double mean, double var, double entropy)
{
  s->mean += mean;
  s->mean2 += mean * mean;
  s->var += var > 0 ? var : 0;
  s->entropy += entropy;
}

static void add_logits(nsl_sample_kernel *k, nsl_samples *s, const float *logits)
{
  float *l = k->work, *e = k->work + k->n_padded;
  int n = k->grid.n;
  for (int i = 0; i < n; i++) { l[i] = logits[i] * k->per_temperature; }
  if (s->n == 0) { /* moments lose no digits when counted from near the peak */
    int peak = 0;
    for (int i = 1; i < n; i++) { peak = l[i] > l[peak] ? i : peak; }
    s->centre = (float)peak;
  }
  softmax_sums sums;
  softmax_sum(k->n_padded, l, s->centre, e, &sums);
  if (!isfinite(sums.s + sums.sd + sums.si + sums.sii) || !(sums.s > 0)) {
    s->bad = 1;
    return;
  }
  float per_sum = 1 / sums.s;
  for (int i = 0; i < n; i++) { s->sum[i] += e[i] * per_sum; }
  for (int i = 0; i < n && s->n % 2; i++) { s->odd[i] += e[i] * per_sum; }
  double mean = (double)sums.si / (double)sums.s;
  add_moments(s, mean, (double)sums.sii / (double)sums.s - mean * mean, log((double)sums.s) - (double)sums.sd / (double)sums.s);
}

/* A Gaussian in z, integrated over the bins; what lies outside the grid is shared by the rest, as the PDF is one of z inside. */
static void add_gaussian(nsl_sample_kernel *k, nsl_samples *s, const float *output)
{
  const nsl_pdf_grid *g = &k->grid;
  double mu = (double)output[0], logvar = fmin(fmax((double)output[1], -10), 10);
  if (!isfinite(mu) || !isfinite((double)output[1])) {
    s->bad = 1;
    return;
  }
  double per_sigma = exp(-0.5 * logvar) * M_SQRT1_2;
  float *mass = k->work;
  double below = erf((nsl_pdf_edge_z(g, 0) - mu) * per_sigma), total = 0, si = 0, sii = 0, entropy = 0;
  for (int i = 0; i < g->n; i++) {
    double above = erf((nsl_pdf_edge_z(g, i + 1) - mu) * per_sigma), m = 0.5 * (above - below);
    mass[i] = (float)m;
    total += m;
    below = above;
  }
  if (!(total > 1e-12)) { /* all outside: the nearest bin has it */
    memset(mass, 0, (size_t)g->n * sizeof *mass);
    mass[mu < nsl_pdf_edge_z(g, 0) ? 0 : g->n - 1] = 1;
    total = 1;
  }
  for (int i = 0; i < g->n; i++) {
    double p = (double)mass[i] / total;
    s->sum[i] += (float)p;
    s->odd[i] += s->n % 2 ? (float)p : 0;
    si += p * i;
    sii += p * i * i;
    if (p > 0) { entropy -= p * log(p); }
  }
  add_moments(s, si, sii - si * si, entropy);
}

void nsl_samples_add(nsl_sample_kernel *k, nsl_samples *s, const float *output)
{
  if (k->head == NSL_HEAD_BINS) {
    add_logits(k, s, output);
  } else {
    add_gaussian(k, s, output);
  }
  s->n++;
}

double nsl_samples_error(const nsl_sample_kernel *k, const nsl_samples *s)
{
  int n_odd = s->n / 2, n_even = s->n - n_odd;
  if (n_odd == 0) { return INFINITY; }
  float per_odd = 1 / (float)n_odd, per_even = 1 / (float)n_even, per_n = 1 / (float)s->n;
  double sum = 0;
  for (int i = 0; i < k->grid.n; i++) {
    float p = s->sum[i] * per_n, d = s->odd[i] * per_odd - (s->sum[i] - s->odd[i]) * per_even;
    sum += p > 1e-12f ? (double)(d * d / p) : 0;
  }
  /* The halves differ by twice what their mean is off by (in the rms). */
  return sum / 8;
}

int nsl_samples_finish(const nsl_sample_kernel *k, const nsl_samples *s, float *prob, nsl_samples_spread *spread)
{
  if (s->n == 0 || s->bad) { return 0; }
  double total = 0, per_n = 1.0 / s->n, mean = s->mean * per_n, var = s->mean2 * per_n - mean * mean;
  for (int i = 0; i < k->grid.n; i++) { total += (double)s->sum[i]; }
  float per_total = (float)(1 / total);
  for (int i = 0; i < k->grid.n; i++) { prob[i] = s->sum[i] * per_total; }
  spread->sigma_epistemic = k->grid.du * sqrt(var > 0 ? var : 0);
  spread->sigma_aleatoric = k->grid.du * sqrt(s->var * per_n);
  spread->mean_entropy = s->entropy * per_n;
  spread->mc_error = nsl_samples_error(k, s);
  return 1;
}
