#include "noslit/pipe/catalogue_diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/model/flags.h"

#define SIGMA_FLOOR 1e-6 /* of ln(1+z), where the reference has no width */
#define READ_ROWS 16384

const double nsl_diff_edges[NSL_DIFF_BINS] = {0, 0.1, 0.3, 1, 2, 3, 5, 10, 30};

/* What is needed of a row to compare it. */
typedef struct {
  int64_t id, tile;
  double z, sigma;
  uint32_t flags;
  nsl_hash content;
} record;

typedef struct {
  record *items;
  size_t n, capacity;
} record_list;

typedef struct {
  nsl_catalogue *file;
  nsl_catalogue_tile *tiles;
  size_t n_tiles;
  int has_hashes;
  record_list tile, left; /* the rows of the current tile; rows without a partner in it */
} side;

static int add(record_list *l, record r)
{
  if (l->n == l->capacity) {
    size_t capacity = l->capacity ? 2 * l->capacity : 256;
    record *items = realloc(l->items, capacity * sizeof *items);
    if (!items) { return 0; }
    l->items = items;
    l->capacity = capacity;
  }
  l->items[l->n++] = r;
  return 1;
}

static nsl_status out_of_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory to compare the catalogues"); }

static record make_record(const nsl_rows *rows, size_t i, nsl_hasher *h)
{
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = nsl_col_size(nsl_row_columns[c].type);
    nsl_hasher_add(h, (const char *)nsl_rows_column(rows, c) + i * size, size);
  }
  nsl_hasher_add(h, &rows->grid, sizeof rows->grid);
  nsl_hasher_add(h, rows->pdf + i * (size_t)rows->grid.n, (size_t)rows->grid.n * sizeof(float));
  double e = (double)rows->sigma_epistemic[i], a = (double)rows->sigma_aleatoric[i];
  return (record){rows->object_id[i],  rows->tile[i],  (double)rows->z_mode[i],
                  sqrt(e * e + a * a), rows->flags[i], nsl_hasher_value(h)};
}

static nsl_status read_records(side *s, int64_t first, int64_t n, record_list *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  nsl_hasher *h = NULL;
  for (int64_t at = first; at < first + n; at += READ_ROWS) {
    int64_t block = first + n - at < READ_ROWS ? first + n - at : READ_ROWS;
    NSL_TRY(nsl_catalogue_read(s->file, at, block, 1, &rows, err));
    for (size_t i = 0; i < rows.n; i++) {
      h = nsl_hasher_new();
      if (!h || !add(out, make_record(&rows, i, h))) { NSL_THROW(err, NSL_E_NOMEM, "no memory to compare the catalogues"); }
      nsl_hasher_free(h);
      h = NULL;
    }
    nsl_rows_free(&rows);
  }
cleanup:
  nsl_hasher_free(h);
  nsl_rows_free(&rows);
  return st;
}

/* --- counting --- */

static void list_mover(nsl_catalogue_diff *d, nsl_diff_mover m)
{
  int at = d->n_largest;
  while (at > 0 && (d->largest[at - 1].n_sigma < m.n_sigma ||
                    (d->largest[at - 1].n_sigma == m.n_sigma && d->largest[at - 1].object_id > m.object_id))) {
    at--;
  }
  if (at == NSL_DIFF_LISTED) { return; }
  if (d->n_largest < NSL_DIFF_LISTED) { d->n_largest++; }
  memmove(&d->largest[at + 1], &d->largest[at], (size_t)(d->n_largest - 1 - at) * sizeof *d->largest);
  d->largest[at] = m;
}

static void list_id(int64_t *list, int *n, int64_t id)
{
  int at = *n;
  while (at > 0 && list[at - 1] > id) { at--; }
  if (at == NSL_DIFF_LISTED) { return; }
  if (*n < NSL_DIFF_LISTED) { ++*n; }
  memmove(&list[at + 1], &list[at], (size_t)(*n - 1 - at) * sizeof *list);
  list[at] = id;
}

static void compare_records(nsl_catalogue_diff *d, const record *a, const record *b, double max_sigma)
{
  d->common++;
  if (nsl_hash_equal(a->content, b->content)) {
    d->identical++;
    return;
  }
  d->changed++;
  if (a->flags != b->flags) { d->flags_changed++; }
  for (int bit = 0; bit < 32; bit++) {
    uint32_t was = a->flags >> bit & 1, is = b->flags >> bit & 1;
    d->flag_set[bit] += is && !was;
    d->flag_cleared[bit] += was && !is;
  }
  double n_sigma = 0;
  if (isfinite(a->z) && !isfinite(b->z)) {
    d->z_lost++;
    n_sigma = INFINITY;
  } else if (!isfinite(a->z)) {
    d->z_gained += isfinite(b->z) != 0;
  } else if (a->z != b->z) {
    double sigma = a->sigma > SIGMA_FLOOR ? a->sigma : SIGMA_FLOOR;
    n_sigma = fabs(log1p(b->z) - log1p(a->z)) / sigma;
    int bin = NSL_DIFF_BINS - 1;
    while (bin > 0 && n_sigma < nsl_diff_edges[bin]) { bin--; }
    d->moved[bin]++;
  }
  if (n_sigma > max_sigma) { d->beyond++; }
  if (n_sigma > 0) { list_mover(d, (nsl_diff_mover){a->id, a->tile, a->z, b->z, n_sigma}); }
}

/* Both lists are sorted by id. What has no partner goes to the leftovers, or is counted as `only` when there are none. */
static int match_lists(nsl_catalogue_diff *d, const record_list *a, const record_list *b, record_list *left_a, record_list *left_b,
                       double max_sigma)
{
  size_t i = 0, j = 0;
  while (i < a->n || j < b->n) {
    if (i < a->n && j < b->n && a->items[i].id == b->items[j].id) {
      compare_records(d, &a->items[i++], &b->items[j++], max_sigma);
    } else if (j == b->n || (i < a->n && a->items[i].id < b->items[j].id)) {
      if (!left_a) {
        d->only_a++;
        list_id(d->first_only_a, &d->n_only_a, a->items[i].id);
      } else if (!add(left_a, a->items[i])) {
        return 0;
      }
      i++;
    } else {
      if (!left_b) {
        d->only_b++;
        list_id(d->first_only_b, &d->n_only_b, b->items[j].id);
      } else if (!add(left_b, b->items[j])) {
        return 0;
      }
      j++;
    }
  }
  return 1;
}

/* --- the walk --- */

static nsl_status side_open(side *s, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_catalogue_open(path, &s->file, err));
  nsl_hash hash = nsl_catalogue_get_info(s->file)->content_hash;
  s->has_hashes = nsl_catalogue_index_read(path, hash, &s->tiles, &s->n_tiles, NULL) == NSL_OK;
  if (s->has_hashes) { return st; }
  st = nsl_catalogue_find_tiles(s->file, &s->tiles, &s->n_tiles, err);
  if (st != NSL_OK) { st = nsl_error_context(err, st, "%s", path); }
cleanup:
  return st;
}

static void side_close(side *s)
{
  nsl_catalogue_close(s->file);
  free(s->tiles);
  free(s->tile.items);
  free(s->left.items);
}

static nsl_status walk_tiles(side *a, side *b, double max_sigma, nsl_catalogue_diff *d, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t i = 0, j = 0;
  while (i < a->n_tiles || j < b->n_tiles) {
    const nsl_catalogue_tile *ta = i < a->n_tiles ? &a->tiles[i] : NULL, *tb = j < b->n_tiles ? &b->tiles[j] : NULL;
    int in_a = ta && (!tb || ta->tile <= tb->tile), in_b = tb && (!ta || tb->tile <= ta->tile);
    i += (size_t)in_a;
    j += (size_t)in_b;
    if (in_a && in_b && a->has_hashes && b->has_hashes && ta->n_rows == tb->n_rows &&
        nsl_hash_equal(ta->content_hash, tb->content_hash)) {
      d->tiles_equal++;
      d->common += ta->n_rows;
      d->identical += ta->n_rows;
      continue;
    }
    a->tile.n = b->tile.n = 0;
    if (in_a) { NSL_TRY(read_records(a, ta->first_row, ta->n_rows, &a->tile, err)); }
    if (in_b) { NSL_TRY(read_records(b, tb->first_row, tb->n_rows, &b->tile, err)); }
    if (!match_lists(d, &a->tile, &b->tile, &a->left, &b->left, max_sigma)) { NSL_TRY(out_of_memory(err)); }
  }
cleanup:
  return st;
}

static int by_id(const void *x, const void *y)
{
  int64_t a = ((const record *)x)->id, b = ((const record *)y)->id;
  return (a > b) - (a < b);
}

nsl_status nsl_catalogue_compare(const char *path_a, const char *path_b, double max_sigma, nsl_catalogue_diff *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  side a = {0}, b = {0};
  memset(out, 0, sizeof *out);
  NSL_TRY(side_open(&a, path_a, err));
  NSL_TRY(side_open(&b, path_b, err));
  out->rows_a = nsl_catalogue_rows(a.file);
  out->rows_b = nsl_catalogue_rows(b.file);
  if (nsl_catalogue_order(a.file) == nsl_catalogue_order(b.file)) {
    NSL_TRY(walk_tiles(&a, &b, max_sigma, out, err));
  } else {
    NSL_TRY(read_records(&a, 0, out->rows_a, &a.left, err));
    NSL_TRY(read_records(&b, 0, out->rows_b, &b.left, err));
  }
  if (a.left.n) { qsort(a.left.items, a.left.n, sizeof(record), by_id); }
  if (b.left.n) { qsort(b.left.items, b.left.n, sizeof(record), by_id); }
  match_lists(out, &a.left, &b.left, NULL, NULL, max_sigma);
cleanup:
  side_close(&a);
  side_close(&b);
  return st;
}

/* --- words --- */

static nsl_json *id_list(const int64_t *ids, int n)
{
  nsl_json *list = nsl_json_array();
  for (int i = 0; i < n; i++) {
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "object_id", ids[i]);
    nsl_json_push(list, o);
  }
  return list;
}

nsl_json *nsl_catalogue_diff_json(const nsl_catalogue_diff *d)
{
  nsl_json *root = nsl_json_object(), *flags = nsl_json_object(), *moved = nsl_json_array(), *largest = nsl_json_array();
  nsl_json_set_i64(root, "rows_a", d->rows_a);
  nsl_json_set_i64(root, "rows_b", d->rows_b);
  nsl_json_set_i64(root, "only_a", d->only_a);
  nsl_json_set_i64(root, "only_b", d->only_b);
  nsl_json_set_i64(root, "common", d->common);
  nsl_json_set_i64(root, "identical", d->identical);
  nsl_json_set_i64(root, "changed", d->changed);
  nsl_json_set_i64(root, "z_lost", d->z_lost);
  nsl_json_set_i64(root, "z_gained", d->z_gained);
  nsl_json_set_i64(root, "flags_changed", d->flags_changed);
  nsl_json_set_i64(root, "beyond", d->beyond);
  nsl_json_set_i64(root, "tiles_equal", d->tiles_equal);
#define FLAG_CHANGE(name, bit, word, text)                     \
  if (d->flag_set[bit] || d->flag_cleared[bit]) {              \
    nsl_json *change = nsl_json_object();                      \
    nsl_json_set_i64(change, "set", d->flag_set[bit]);         \
    nsl_json_set_i64(change, "cleared", d->flag_cleared[bit]); \
    nsl_json_set(flags, word, change);                         \
  }
  NSL_FLAG_LIST(FLAG_CHANGE)
#undef FLAG_CHANGE
  nsl_json_set(root, "flags", flags);
  for (int i = 0; i < NSL_DIFF_BINS; i++) {
    nsl_json *bin = nsl_json_object();
    nsl_json_set_f64(bin, "from_sigma", nsl_diff_edges[i]);
    nsl_json_set_i64(bin, "n", d->moved[i]);
    nsl_json_push(moved, bin);
  }
  nsl_json_set(root, "moved", moved);
  for (int i = 0; i < d->n_largest; i++) {
    const nsl_diff_mover *m = &d->largest[i];
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "object_id", m->object_id);
    nsl_json_set_i64(o, "tile", m->tile);
    nsl_json_set_f64(o, "z_a", m->z_a);
    nsl_json_set_f64(o, "z_b", m->z_b); /* null: lost */
    nsl_json_set_f64(o, "n_sigma", m->n_sigma);
    nsl_json_push(largest, o);
  }
  nsl_json_set(root, "largest", largest);
  nsl_json_set(root, "first_only_a", id_list(d->first_only_a, d->n_only_a));
  nsl_json_set(root, "first_only_b", id_list(d->first_only_b, d->n_only_b));
  return root;
}
