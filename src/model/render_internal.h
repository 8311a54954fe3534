/* The parts of the renderer (render.c says how they fit together). */
#ifndef NOSLIT_MODEL_RENDER_INTERNAL_H
#define NOSLIT_MODEL_RENDER_INTERNAL_H

#include <math.h>

#include "noslit/base/hash.h"
#include "noslit/model/render.h"

#define NSL_LANES 8 /* floats per vector; rows and columns of the tables are padded to it */

/* Wide components of a profile are rendered on coarser grids: level l has a step of 2^l px. */
#define NSL_LEVELS 3
static inline int nsl_level_step(int level) { return 1 << level; }

/* The profile in the frame sheared along the trace, sampled on integer offsets (in steps) and prefiltered so that cubic B-spline
 * weights interpolate it in both directions: k[(t - t_min) * rows_padded + (m - m_min)], t along the dispersion, m across. */
typedef struct {
  nsl_hash key; /* of profile and slope; 0 while there is nothing */
  int t_min, t_max, m_min, m_max;
  int rows_padded;
  float *k;
  size_t capacity;
  double *work; /* the same in double while it is made */
  size_t work_capacity;
} nsl_kernel;

/* Zeros after a line, for what reads whole vectors. */
#define NSL_LINE_SPARE (2 * NSL_LANES + 8)
#define NSL_KERNELS 128 /* in the cache */

#define NSL_KERNEL_MARGIN 2 /* steps beyond the light, for the ringing of the prefilter */

/* How far the profile reaches in the sheared frame (steps, prefilter margin included). */
typedef struct {
  int t_min, t_max, m_min, m_max;
} nsl_reach;

/* Slopes of traces are rounded to this, so that exposures and beams of a source share a kernel. */
static inline double nsl_kernel_slope(double slope) { return round(slope * 1000) / 1000; }

/* Each component to the coarsest level that samples it well. */
void nsl_mix_split(const nsl_mix *mix, double slope, nsl_mix parts[NSL_LEVELS]);
nsl_reach nsl_kernel_reach(const nsl_mix *mix, double slope, int step);
/* The kernel from the cache [NSL_KERNELS], made if it is not there; valid until the next call. */
nsl_status nsl_kernel_get(nsl_kernel *cache, const nsl_mix *mix, double slope, int step, const nsl_kernel **out, nsl_error *err);
void nsl_kernel_free(nsl_kernel *kernel);

/* Cubic B-spline weights for a position p: columns i0 .. i0 + 3 (i0 returned) get w[0..3]. */
static inline long nsl_spline_weights(double p, double w[4])
{
  long i = (long)p - (p < (double)(long)p);
  double f = p - (double)i, g = 1 - f;
  const double sixth = 1.0 / 6;
  w[0] = g * g * g * sixth;
  w[1] = (4 - 6 * f * f + 3 * f * f * f) * sixth;
  w[2] = (4 - 6 * g * g + 3 * g * g * g) * sixth;
  w[3] = f * f * f * sixth;
  return i - 1;
}

/* Adds the electrons of the beam between dx_lo and dx_hi, as B-spline deposits, to line[0..n) whose first element is FITS column
 * x_first. */
void nsl_spectrum_deposit(const nsl_trace *trace, const nsl_sensitivity *sens, const nsl_sed *sed, double scale_seconds,
                          double dx_lo, double dx_hi, double x_first, int n, double *line);

/* g[(m - m_min) * stride + i] = sum over t of kernel(t, m) line[i + t_max - t] for kernel rows m_min..m_max. line is readable up
 * to stride + t_max - t_min; stride is a multiple of 2 NSL_LANES not below n. */
void nsl_convolve_rows(const nsl_kernel *kernel, int m_min, int m_max, const float *line, int n, int stride, float *g);

/* The window's columns that the beam can touch. */
typedef struct {
  double dx_lo, dx_hi; /* of the beam, cut to what matters */
  int i0, n;           /* window columns */
} nsl_footprint;

#define ROW_LIMIT 32768.0

struct nsl_renderer {
  nsl_kernel kernels[NSL_KERNELS];
  double *deposit;
  float *line; /* electrons per column as spline deposits, from column i0 - line_before on */
  int line_n, line_before;
  double *y;              /* row of the trace in the window, per column, within +-ROW_LIMIT */
  float *smooth, *phase;  /* render_level.c */
  float *rows, *all_rows; /* kernel rows convolved: of a phase; of all columns */
  float *weight;          /* [4][columns] */
  int *row_of;            /* integer row of the trace, per column */
  size_t deposit_n, line_capacity, y_n, smooth_n, phase_n, rows_n, all_rows_n, weight_n, row_of_n;
};

/* realloc to at least `need` elements; 0 when there is no memory. */
int nsl_grow(void **p, size_t *have, size_t need, size_t size);

/* Adds the part of a profile that belongs to one level; r->line and r->y are ready. */
nsl_status nsl_render_level(nsl_renderer *r, const nsl_mix *part, double slope, int step, const nsl_footprint *f, nsl_window *w,
                            nsl_error *err);

#endif
