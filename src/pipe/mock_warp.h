/* Moves a rendered window by a shift that changes slowly along the rows. */
#ifndef PIPE_MOCK_WARP_H
#define PIPE_MOCK_WARP_H

#include <stddef.h>

/* Scratch memory, kept between calls. */
typedef struct {
  float *memory;
  size_t capacity;
} nsl_warp;

/* Pixel (i, j) of what is wanted lies at (i + x(u), j + y(u)) of the plate, u = (i - middle) / half, x(u) = x[0] + x[1] u + x[2]
 * u^2. */
typedef struct {
  double middle, half, x[3], y[3];
} nsl_warp_move;

int nsl_warp_reserve(nsl_warp *warp, size_t n); /* floats; 0 when there is no memory */
void nsl_warp_free(nsl_warp *warp);
/* Makes the pixels of a plate [h][w] the coefficients that nsl_warp_show wants. 0 when there is no memory. */
int nsl_warp_prepare(nsl_warp *warp, float *img, int w, int h);
/* Fills img[h][w] with a prepared plate [ph][pw], moved; light is kept where the move stretches. The plate's edge goes on beyond
 * it; it has at least four rows and four columns more than the window. */
void nsl_warp_show(const nsl_warp_move *m, const float *plate, int pw, int ph, int w, int h, float *img);

#endif
