/* The parts of the renderer (render.c says how they fit together). */
#ifndef NOSLIT_MODEL_RENDER_INTERNAL_H
#define NOSLIT_MODEL_RENDER_INTERNAL_H

#include <math.h>

#include "noslit/base/hash.h"
#include "noslit/model/render.h"

#define NSL_LANES 16 /* floats per vector; columns of the tables are padded to it */
typedef float nsl_lanes __attribute__((vector_size(NSL_LANES * sizeof(float)), aligned(4)));

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
  float *by_row; /* while it is made: the other way round, */
  double *walk;  /* and a row of a component */
  size_t by_row_capacity, walk_capacity;
} nsl_kernel;

/* Zeros after a line, for what reads whole vectors. */
#define NSL_LINE_SPARE (NSL_LANES + 8)
#define NSL_KERNELS 128 /* in the cache */

#define NSL_REACH_MAX_PX 80.0 /* of a component from its centre */
#define NSL_KERNEL_MARGIN 2   /* steps beyond the light, for the ringing of the prefilter */

/* Of the whole light, per component and direction, this may lie beyond its reach (`cut` of what follows); it is put back inside. */
#define NSL_CUT_LIGHT 1e-3
#define NSL_CUT_FAINT 0.04 /* the most, for faint sources */

/* How far the profile reaches in the sheared frame (steps, prefilter margin included). */
typedef struct {
  int t_min, t_max, m_min, m_max;
} nsl_reach;

/* Slopes of traces are rounded to this, so that exposures and beams of a source share a kernel. */
static inline double nsl_kernel_slope(double slope) { return round(slope * 1000) / 1000; }

/* Each component to the coarsest level that samples it well. */
void nsl_mix_split(const nsl_mix *mix, double slope, nsl_mix parts[NSL_LEVELS]);
nsl_reach nsl_kernel_reach(const nsl_mix *mix, double slope, double cut, int step);
/* The kernel from the cache [NSL_KERNELS], made if it is not there; valid until the next call. */
nsl_status nsl_kernel_get(nsl_kernel *cache, const nsl_mix *mix, double slope, double cut, int step, const nsl_kernel **out,
                          nsl_error *err);
void nsl_kernel_free(nsl_kernel *kernel);

/* --- render_beads.c --- */
/* A spectrum through a sensitivity: bead j has light[j] e-/s at wavelength (first + j + centre[j]) bin_a. */
typedef struct {
  nsl_hash key;         /* of what it was made of; 0 while there is nothing */
  double bin_a, mean_a; /* mean_a: where the light is, on average */
  double peak;          /* light of a pixel, where it is brightest */
  long first;
  int n, capacity;
  float *light, *centre, *memory;
} nsl_beads;

#define NSL_BEADS 4096 /* strings in the cache */

/* The bin for a beam with this dispersion, A per px, where it is finest. */
double nsl_beads_bin(double finest_a_per_px);
/* The string from the cache [NSL_BEADS], made if it is not there; valid until the next call. */
nsl_status nsl_beads_get(nsl_beads *cache, const nsl_sed *sed, const nsl_sensitivity *sens, double bin, const nsl_beads **out,
                         nsl_error *err);
void nsl_beads_free(nsl_beads *beads);

/* --- render_line.c --- */
/* Adds scale times the beads between dx_lo and dx_hi of the trace, as cubic B-spline deposits, to line[0..n) whose first element is
 * FITS column x_first. */
void nsl_line_add(const nsl_trace *trace, const nsl_beads *beads, double scale, double dx_lo, double dx_hi, double x_first, int n,
                  float *line);

/* --- render_psf.c: the PSF's change with wavelength ---
 * Kernels hold the narrowest PSF; the rest, a variance `delta` that changes along the trace, is a blur by five weights along the
 * dispersion and by six across it. Both have the second and the fourth moment of a Gaussian. */
#define NSL_DELTA_MAX_PX2 1.0 /* beyond it five weights do not do */
/* Least variance of the PSF where the sensitivity has light; at least its largest less NSL_DELTA_MAX_PX2. */
double nsl_psf_least_px2(const nsl_psf *psf, const nsl_sensitivity *sens);
/* The profile with the PSF's variance changed to `variance_px2`. */
void nsl_mix_with_psf(const nsl_mix *mix, double variance_px2, nsl_mix *out);
/* delta[i] of the columns x_first + i: the PSF's variance at their wavelengths over `least`. A beam too short to tell wavelengths
 * apart has that of mean_a everywhere. */
void nsl_psf_delta(const nsl_psf *psf, double least, const nsl_trace *trace, double mean_a, double x_first, int n, float *delta);
/* Blurs along the line; work: [n]. */
void nsl_line_blur(float *line, const float *delta, int n, float *work);

/* g[(m - m_min) * stride + i] = sum over t of kernel(t, m) line[i + step (t_max - t)] for kernel rows m_min..m_max. line is
 * readable up to stride + step (t_max - t_min); stride is a multiple of NSL_LANES not below n. */
void nsl_convolve_rows(const nsl_kernel *kernel, int m_min, int m_max, const float *line, int step, int n, int stride, float *g);

/* The window's columns that the beam can touch. */
typedef struct {
  double dx_lo, dx_hi; /* of the beam, cut to what matters */
  int i0, n;           /* window columns */
} nsl_footprint;

#define ROW_LIMIT 32768.0

struct nsl_renderer {
  nsl_kernel kernels[NSL_KERNELS];
  nsl_beads beads[NSL_BEADS];
  float *line; /* electrons per column as spline deposits, from column i0 - line_before on; NSL_LINE_SPARE zeros after it */
  int line_n, line_before;
  float *delta;  /* of the same columns; NULL when the PSF is the same everywhere */
  double *y;     /* row of the trace in the window, per column, within +-ROW_LIMIT */
  float *smooth; /* the line for a coarse level, between zeros */
  float *rows;   /* kernel rows convolved */
  float *above;  /* [columns]: where the trace is in its row */
  int *row_of;   /* integer row of the trace, per column */
  float *delta_memory;
  double unseen_e; /* of nsl_renderer_neglect */
  size_t line_capacity, delta_n, y_n, smooth_n, rows_n, above_n, row_of_n;
};

/* realloc to at least `need` elements; 0 when there is no memory. */
int nsl_grow(void **p, size_t *have, size_t need, size_t size);

/* Adds the part of a profile that belongs to one level; r->line and r->y are ready. */
nsl_status nsl_render_level(nsl_renderer *r, const nsl_mix *part, double slope, double cut, int step, const nsl_footprint *f,
                            nsl_window *w, nsl_error *err);

#endif
