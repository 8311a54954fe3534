/* What changed between two catalogues of the same sky: A is the reference, B the new one. Local.
 *
 * Sources are matched by object_id. With the same tile order both are walked tile by tile, and tiles whose content hashes agree
 * (by the indexes) are not read at all; a source that went to another tile is found afterwards. Memory: two tiles, and 64 bytes
 * per source that stands in another tile (with different orders: per source). */
#ifndef NOSLIT_PIPE_CATALOGUE_DIFF_H
#define NOSLIT_PIPE_CATALOGUE_DIFF_H

#include <stdint.h>

#include "noslit/io/json.h"
#include "noslit/pipe/catalogue.h"

#define NSL_DIFF_BINS 9
#define NSL_DIFF_LISTED 20
extern const double nsl_diff_edges[NSL_DIFF_BINS]; /* lower edges of the bins of |dz|/sigma; the first is 0, exclusive */

typedef struct {
  int64_t object_id, tile;
  double z_a, z_b;
  double n_sigma; /* INFINITY: a redshift was lost */
} nsl_diff_mover;

typedef struct {
  int64_t rows_a, rows_b, only_a, only_b, common;
  int64_t identical, changed; /* of the common ones, bit by bit, PDFs included */
  int64_t z_lost, z_gained;   /* had a redshift in A and none in B, and the reverse */
  int64_t flags_changed, flag_set[32], flag_cleared[32];
  int64_t moved[NSL_DIFF_BINS]; /* z_mode differs, by |ln((1+z_b)/(1+z_a))| / sigma_a */
  int64_t beyond;               /* moved by more than max_sigma, or lost */
  int64_t tiles_equal;          /* taken as equal by their hashes */
  int n_largest, n_only_a, n_only_b;
  nsl_diff_mover largest[NSL_DIFF_LISTED];                              /* falling; ties by object_id */
  int64_t first_only_a[NSL_DIFF_LISTED], first_only_b[NSL_DIFF_LISTED]; /* smallest ids */
} nsl_catalogue_diff;

nsl_status nsl_catalogue_compare(const char *path_a, const char *path_b, double max_sigma, nsl_catalogue_diff *out, nsl_error *err);
nsl_json *nsl_catalogue_diff_json(const nsl_catalogue_diff *d);

/* Differences of provenance as lines "model_hash: 12ab -> 34cd"; configuration keys one by one. `what` is filled with the names
 * of differing attributes, comma-separated. */
nsl_status nsl_catalogue_compare_provenance(const char *path_a, const char *path_b, nsl_str *lines, nsl_str *what, nsl_error *err);

#endif
