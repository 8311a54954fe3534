/* Winograd-type 3x3 convolutions (Lavin & Gray 2016; Cook-Toom): a tile of rows x 4 outputs by products at fewer positions than a
 * direct convolution needs. Columns are always F(4,3) on the points 0, 1, -1, 2, -2, infinity; rows by one of the schemes of
 * kernels.h, so that an image's height is met without waste. Private. */
#ifndef NOSLIT_SRC_NN_WINOGRAD_H
#define NOSLIT_SRC_NN_WINOGRAD_H

#include "kernels/kernels.h"

enum { NSL_TILE_COLUMNS = 4, NSL_COLUMN_POSITIONS = 6 };

typedef struct {
  int rows_in, first; /* input rows of a tile; the first one relative to the first output row */
  int positions, rows_out;
} nsl_rows_shape;

nsl_rows_shape nsl_winograd_rows(nsl_rows_scheme scheme);

/* Tile rows of one scheme: count tiles from row y0 downward. */
typedef struct {
  nsl_rows_scheme scheme;
  int y0, count;
} nsl_row_band;

/* How h >= 2 rows are cut; returns the number of bands (at most 3). */
int nsl_winograd_cut(int h, nsl_row_band bands[3]);

/* The transformed weights at position (p, q): to [c_in][c_out] from w [c_out][c_in][3][3] times scale [c_out]. */
void nsl_winograd_weights(nsl_rows_scheme scheme, int p, int q, int c_out, int c_in, const float *w, const double *scale,
                          double *to);

#endif
