/* Convolution steps on images with channels innermost: out = relu(norm(conv(x)) + other), batch norm folded into the weights.
 * 3x3 with stride 1 goes the Winograd way (winograd.h); others gather their pixels into panels; a first layer with few channels
 * gathers from zero-padded planes. All end in the same product of panels. An element's bits do not depend on its batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/memory.h"
#include "step.h"
#include "winograd.h"

enum { BANDS_MAX = 3, SEGMENT = 8 /* columns of a kernel row in the first layer, the last ones with zero weight */ };
/* Transformed tiles shall stay in the cache next to a core, or cost no more than the weights that are read for them. */
static const size_t working_floats = (size_t)1 << 18;

typedef enum { WAY_WINOGRAD, WAY_GATHER, WAY_PLANES } way;

typedef struct {
  nsl_step step;
  nsl_chain chain;
  const nsl_kernels *kernels;
  way way;
  nsl_shape3 in, out;
  const nsl_node *conv;
  int columns; /* of the products: c_out, padded */
  int depth;   /* of the products */
  int relu;
  int n_bands, group[BANDS_MAX]; /* rows of panels at a time */
  nsl_row_band bands[BANDS_MAX];
  float *weights[BANDS_MAX]; /* packed, position after position */
  float *bias, *zeros;
} image_conv;

static int round_up(int n, int to) { return (n + to - 1) / to * to; }

static int is_winograd(const nsl_node *conv)
{
  return conv->kh == 3 && conv->kw == 3 && conv->stride_h == 1 && conv->stride_w == 1 && conv->pad_h == 1 && conv->pad_w == 1 &&
         conv->dil_h == 1 && conv->dil_w == 1 && conv->out.h >= 2;
}

int nsl_image_can_convolve(const nsl_net *net, const nsl_chain *chain, int takes_planes)
{
  const nsl_node *conv = &net->graph.nodes[chain->conv];
  if (conv->c_out % NSL_CHANNEL_BLOCK != 0) { return 0; }
  if (!takes_planes) { return net->states[chain->conv].in_shape[0].c % NSL_CHANNEL_BLOCK == 0; }
  return conv->kw <= SEGMENT && conv->dil_h == 1 && conv->dil_w == 1;
}

static size_t positions(const image_conv *s, int band)
{
  return s->way == WAY_WINOGRAD ? (size_t)nsl_winograd_rows(s->bands[band].scheme).positions * NSL_COLUMN_POSITIONS : 1;
}

static size_t weight_floats(const image_conv *s, int band) { return positions(s, band) * (size_t)s->depth * (size_t)s->columns; }

/* ---- weights ---- */

/* Factor and bias of each output channel: the batch norm folded. */
static void fold(const image_conv *s, const nsl_net *net, double *scale)
{
  const nsl_param *conv = net->params + net->states[s->chain.conv].first_param;
  for (int o = 0; o < s->out.c; o++) {
    double bias = s->conv->has_bias ? (double)conv[1].value[o] : 0.0;
    scale[o] = 1.0;
    if (s->chain.norm >= 0) {
      const nsl_param *p = net->params + net->states[s->chain.norm].first_param; /* weight, bias, mean, var */
      scale[o] = (double)p[0].value[o] / sqrt((double)p[3].value[o] + (double)net->graph.nodes[s->chain.norm].eps);
      bias = (double)p[1].value[o] + scale[o] * (bias - (double)p[2].value[o]);
    }
    s->bias[o] = (float)bias;
  }
}

static void gather_weights(const image_conv *s, const float *w, const double *scale, double *to)
{
  int kh = s->conv->kh, kw = s->conv->kw;
  memset(to, 0, (size_t)s->depth * (size_t)s->out.c * sizeof *to);
  for (int o = 0; o < s->out.c; o++) {
    for (int c = 0; c < s->in.c; c++) {
      for (int k = 0; k < kh * kw; k++) {
        int at = s->way == WAY_PLANES ? (c * kh + k / kw) * SEGMENT + k % kw : k * s->in.c + c;
        to[at * s->out.c + o] = scale[o] * (double)*w++;
      }
    }
  }
}

static void refresh(nsl_step *step, const nsl_net *net)
{
  image_conv *s = (image_conv *)step;
  const float *w = net->params[net->states[s->chain.conv].first_param].value;
  double *scale = (double *)net->scratch, *matrix = scale + round_up(s->out.c, 16);
  fold(s, net, scale);
  for (int b = 0; b < s->n_bands; b++) {
    float *to = s->weights[b];
    for (int p = 0; p < (int)positions(s, b); p++, to += (size_t)s->depth * (size_t)s->columns) {
      if (s->way == WAY_WINOGRAD) {
        nsl_winograd_weights(s->bands[b].scheme, p / NSL_COLUMN_POSITIONS, p % NSL_COLUMN_POSITIONS, s->out.c, s->in.c, w, scale,
                             matrix);
      } else {
        gather_weights(s, w, scale, matrix);
      }
      s->kernels->panel_pack(s->depth, s->out.c, s->columns, matrix, to);
    }
  }
}

/* ---- Winograd ---- */

static void tile_pixels(const image_conv *s, const float *image, int y0, int x0, int rows, const float **pixels)
{
  for (int y = 0; y < rows; y++) {
    for (int x = 0; x < NSL_COLUMN_POSITIONS; x++) {
      int inside = y0 + y >= 0 && y0 + y < s->in.h && x0 + x >= 0 && x0 + x < s->in.w;
      *pixels++ = inside ? image + ((size_t)(y0 + y) * (size_t)s->in.w + (size_t)(x0 + x)) * (size_t)s->in.c : s->zeros;
    }
  }
}

static void winograd_band(const image_conv *s, int b, const nsl_call *call)
{
  const nsl_row_band *band = &s->bands[b];
  nsl_rows_shape shape = nsl_winograd_rows(band->scheme);
  int across = (s->out.w + NSL_TILE_COLUMNS - 1) / NSL_TILE_COLUMNS, tiles = band->count * across,
      height = s->kernels->panel_height;
  size_t step_v = (size_t)s->group[b] * (size_t)s->depth, step_m = (size_t)s->group[b] * (size_t)s->columns;
  float *v = call->scratch, *m = v + positions(s, b) * step_v;
  const float *pixels[6 * NSL_COLUMN_POSITIONS];
  for (int first = 0; first < call->n * tiles; first += s->group[b]) {
    int count = call->n * tiles - first < s->group[b] ? call->n * tiles - first : s->group[b];
    for (int r = 0; r < count; r++) {
      int element = (first + r) / tiles, tile = (first + r) % tiles;
      tile_pixels(s, call->in[0].data + (size_t)element * call->in[0].stride,
                  band->y0 + tile / across * shape.rows_out + shape.first, tile % across * NSL_TILE_COLUMNS - 1, shape.rows_in,
                  pixels);
      s->kernels->winograd_input(band->scheme, s->in.c, pixels, v + r / height * height * s->depth + r % height * NSL_CHANNEL_BLOCK,
                                 step_v);
    }
    for (size_t p = 0; p < positions(s, b); p++) {
      s->kernels->panel_gemm(count, s->depth, s->columns, v + p * step_v, s->weights[b] + p * (size_t)s->depth * (size_t)s->columns,
                             m + p * step_m);
    }
    for (int r = 0; r < count; r++) {
      int element = (first + r) / tiles, tile = (first + r) % tiles, x = tile % across * NSL_TILE_COLUMNS;
      size_t at = ((size_t)(band->y0 + tile / across * shape.rows_out) * (size_t)s->out.w + (size_t)x) * (size_t)s->out.c;
      nsl_tile_end end = {.out = call->out + (size_t)element * nsl_shape_size(s->out) + at,
                          .bias = s->bias,
                          .residual = s->chain.other >= 0 ? call->in[1].data + (size_t)element * call->in[1].stride + at : NULL,
                          .row_step = (size_t)s->out.w * (size_t)s->out.c,
                          .relu = s->relu,
                          .columns = s->out.w - x < NSL_TILE_COLUMNS ? s->out.w - x : NSL_TILE_COLUMNS};
      s->kernels->winograd_output(band->scheme, s->out.c, m + r / height * height * s->columns + r % height * NSL_CHANNEL_BLOCK,
                                  step_m, &end);
    }
  }
}

/* ---- gathering ---- */

static int padded_width(const image_conv *s) { return s->in.w + 2 * s->conv->pad_w + SEGMENT; }
static size_t padded_floats(const image_conv *s)
{
  return s->way == WAY_PLANES ? (size_t)s->in.c * (size_t)(s->in.h + 2 * s->conv->pad_h) * (size_t)padded_width(s) : 0;
}

static void pad_planes(const image_conv *s, const float *x, float *to)
{
  size_t width = (size_t)padded_width(s), height = (size_t)(s->in.h + 2 * s->conv->pad_h);
  memset(to, 0, padded_floats(s) * sizeof *to);
  for (int c = 0; c < s->in.c; c++) {
    for (int y = 0; y < s->in.h; y++, x += s->in.w) {
      memcpy(to + ((size_t)c * height + (size_t)(y + s->conv->pad_h)) * width + s->conv->pad_w, x, (size_t)s->in.w * sizeof *x);
    }
  }
}

/* The pixels under the kernel at output (oy, ox), to one row of a panel. */
static void gather_pixels(const image_conv *s, const float *image, int oy, int ox, float *to)
{
  const nsl_node *conv = s->conv;
  size_t tap = (size_t)s->in.c * (size_t)s->kernels->panel_height;
  for (int ky = 0; ky < conv->kh; ky++) {
    for (int kx = 0; kx < conv->kw; kx++, to += tap) {
      int y = oy * conv->stride_h - conv->pad_h + ky * conv->dil_h, x = ox * conv->stride_w - conv->pad_w + kx * conv->dil_w;
      int inside = y >= 0 && y < s->in.h && x >= 0 && x < s->in.w;
      s->kernels->pixel_copy(s->in.c, inside ? image + ((size_t)y * (size_t)s->in.w + (size_t)x) * (size_t)s->in.c : s->zeros, to);
    }
  }
}

static void gather_segments(const image_conv *s, const float *padded, int oy, int ox, float *to)
{
  const nsl_node *conv = s->conv;
  size_t width = (size_t)padded_width(s), height = (size_t)(s->in.h + 2 * conv->pad_h);
  size_t block = (size_t)s->kernels->panel_height * NSL_CHANNEL_BLOCK, k = 0;
  for (int c = 0; c < s->in.c; c++) {
    const float *from = padded + ((size_t)c * height + (size_t)(oy * conv->stride_h)) * width + (size_t)(ox * conv->stride_w);
    for (int ky = 0; ky < conv->kh; ky++, k++, from += width) {
      memcpy(to + k / 2 * block + k % 2 * SEGMENT, from, SEGMENT * sizeof(float));
    }
  }
}

static void gather_element(const image_conv *s, const nsl_call *call, int element)
{
  int height = s->kernels->panel_height, pixels = s->out.h * s->out.w;
  const float *image = call->in[0].data + (size_t)element * call->in[0].stride;
  float *a = call->scratch + padded_floats(s), *m = a + (size_t)s->group[0] * (size_t)s->depth;
  float *out = call->out + (size_t)element * nsl_shape_size(s->out);
  const float *residual = s->chain.other >= 0 ? call->in[1].data + (size_t)element * call->in[1].stride : NULL;
  if (s->way == WAY_PLANES) {
    pad_planes(s, image, call->scratch);
    memset(a, 0, (size_t)s->group[0] * (size_t)s->depth * sizeof *a); /* what no segment reaches */
  }
  for (int first = 0; first < pixels; first += s->group[0]) {
    int count = pixels - first < s->group[0] ? pixels - first : s->group[0];
    for (int r = 0; r < count; r++) {
      int oy = (first + r) / s->out.w, ox = (first + r) % s->out.w;
      float *row = a + r / height * height * s->depth + r % height * NSL_CHANNEL_BLOCK;
      if (s->way == WAY_PLANES) {
        gather_segments(s, call->scratch, oy, ox, row);
      } else {
        gather_pixels(s, image, oy, ox, row);
      }
    }
    s->kernels->panel_gemm(count, s->depth, s->columns, a, s->weights[0], m);
    for (int r = 0; r < count; r++) {
      size_t at = (size_t)(first + r) * (size_t)s->out.c;
      nsl_tile_end end = {.out = out + at, .bias = s->bias, .residual = residual ? residual + at : NULL, .relu = s->relu};
      s->kernels->pixel_output(s->out.c, m + r / height * height * s->columns + r % height * NSL_CHANNEL_BLOCK, &end);
    }
  }
}

/* ---- */

static void forward(const nsl_step *step, const nsl_call *call)
{
  const image_conv *s = (const image_conv *)step;
  if (s->way == WAY_WINOGRAD) {
    for (int b = 0; b < s->n_bands; b++) { winograd_band(s, b, call); }
  } else {
    for (int i = 0; i < call->n; i++) { gather_element(s, call, i); }
  }
}

/* Also holds the matrix in double precision that refresh makes. */
static size_t scratch(const nsl_step *step, int n)
{
  const image_conv *s = (const image_conv *)step;
  size_t most = 2 * ((size_t)s->depth * (size_t)s->out.c + (size_t)s->out.c + 16);
  (void)n;
  for (int b = 0; b < s->n_bands; b++) {
    size_t need = positions(s, b) * (size_t)s->group[b] * (size_t)(s->depth + s->columns) + padded_floats(s);
    if (need > most) { most = need; }
  }
  return most;
}

static void release(nsl_step *step)
{
  image_conv *s = (image_conv *)step;
  for (int b = 0; b < BANDS_MAX; b++) { free(s->weights[b]); }
  free(s->bias);
  free(s->zeros);
  free(s);
}

static void choose_group(image_conv *s, int band)
{
  size_t per_row = positions(s, band) * (size_t)(s->depth + s->columns), room = weight_floats(s, band);
  if (room < working_floats || s->way != WAY_WINOGRAD) { room = working_floats; }
  int rows = (int)(room / per_row) / s->kernels->panel_height * s->kernels->panel_height;
  s->group[band] = rows < s->kernels->panel_height ? s->kernels->panel_height : rows;
}

nsl_status nsl_image_conv_new(const nsl_net *net, const nsl_chain *chain, int takes_planes, nsl_step **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  image_conv *s = calloc(1, sizeof *s);
  if (!s) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  *s = (image_conv){.step = {refresh, forward, release, scratch},
                    .chain = *chain,
                    .kernels = net->backend.kernels,
                    .in = net->states[chain->conv].in_shape[0],
                    .conv = &net->graph.nodes[chain->conv],
                    .relu = chain->relu >= 0,
                    .n_bands = 1};
  s->out = s->conv->out;
  s->way = takes_planes ? WAY_PLANES : is_winograd(s->conv) ? WAY_WINOGRAD : WAY_GATHER;
  s->columns = round_up(s->out.c, NSL_COLUMN_BLOCK);
  s->depth = s->in.c;
  if (s->way == WAY_GATHER) { s->depth *= s->conv->kh * s->conv->kw; }
  if (s->way == WAY_PLANES) { s->depth = round_up(s->in.c * s->conv->kh * SEGMENT, NSL_CHANNEL_BLOCK); }
  if (s->way == WAY_WINOGRAD) { s->n_bands = nsl_winograd_cut(s->out.h, s->bands); }
  s->bias = calloc((size_t)s->columns, sizeof(float));
  s->zeros = calloc((size_t)s->in.c, sizeof(float));
  int complete = s->bias && s->zeros;
  for (int b = 0; b < s->n_bands; b++) {
    choose_group(s, b);
    s->weights[b] = nsl_alloc_large(weight_floats(s, b) * sizeof(float));
    complete = complete && s->weights[b];
  }
  if (!complete) { NSL_THROW(err, NSL_E_NOMEM, "node '%s': out of memory for packed weights", s->conv->name); }
  *out = &s->step;
  s = NULL;
cleanup:
  if (s) { release(&s->step); }
  return st;
}
