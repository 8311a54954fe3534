#include "noslit/model/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

typedef enum { REGION_CONE, REGION_BOX, REGION_POLYGON } region_kind;

typedef struct {
  region_kind kind;
  int n;     /* numbers */
  double *v; /* cone: ra, dec, radius; box: ra0, ra1, dec0, dec1; polygon: ra, dec, ... */
} region;

typedef struct {
  int64_t first, last;
} tile_range;

struct nsl_select {
  tile_range *tiles;
  size_t n_tiles;
  region *regions;
  size_t n_regions;
  char **exposures;
  size_t n_exposures;
  int64_t *sources;
  size_t n_sources;
  int failed, stale, force;
  int part, n_parts; /* part from 1; n_parts 0: all of it */
};

static const struct {
  const char *name;
  int takes_value;
} option_table[] = {{"--tiles", 1},  {"--cone", 1},   {"--box", 1},   {"--polygon", 1}, {"--exposure", 1},
                    {"--source", 1}, {"--failed", 0}, {"--stale", 0}, {"--force", 0},   {"--part", 1}};

nsl_status nsl_select_new(nsl_select **out, nsl_error *err)
{
  *out = calloc(1, sizeof **out);
  return *out ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory for a selection");
}

void nsl_select_free(nsl_select *s)
{
  if (!s) { return; }
  for (size_t i = 0; i < s->n_regions; i++) { free(s->regions[i].v); }
  for (size_t i = 0; i < s->n_exposures; i++) { free(s->exposures[i]); }
  free(s->regions);
  free(s->exposures);
  free(s->tiles);
  free(s->sources);
  free(s);
}

int nsl_select_is_option(const char *option, int *takes_value)
{
  for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
    if (!strcmp(option, option_table[i].name)) {
      *takes_value = option_table[i].takes_value;
      return 1;
    }
  }
  return 0;
}

/* Appends one element to a growing array of elements of this size; NULL when out of memory. */
static void *push(void *array_pointer, size_t *n, size_t size)
{
  void *old, *grown;
  memcpy(&old, array_pointer, sizeof old);
  grown = realloc(old, (*n + 1) * size);
  if (!grown) { return NULL; }
  memcpy(array_pointer, &grown, sizeof grown);
  memset((char *)grown + *n * size, 0, size);
  return (char *)grown + (*n)++ * size;
}

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for a selection"); }

/* Calls add for every comma-separated piece of value. */
typedef nsl_status add_piece(nsl_select *s, const char *piece, nsl_error *err);

static nsl_status for_each_piece(nsl_select *s, const char *value, add_piece *add, nsl_error *err)
{
  char *copy = nsl_strdup(value);
  if (!copy) { return no_memory(err); }
  nsl_status st = NSL_OK;
  char *rest = copy, *piece;
  while (st == NSL_OK && (piece = strsep(&rest, ","))) { st = add(s, piece, err); }
  free(copy);
  return st;
}

static nsl_status add_tile_piece(nsl_select *s, const char *piece, nsl_error *err)
{
  tile_range r;
  const char *dash = strchr(piece, '-');
  int ok;
  if (dash && dash != piece) {
    char *first = strndup(piece, (size_t)(dash - piece));
    ok = first && nsl_parse_i64(first, &r.first) && nsl_parse_i64(dash + 1, &r.last);
    free(first);
  } else {
    ok = nsl_parse_i64(piece, &r.first);
    r.last = r.first;
  }
  if (!ok || r.first < 0 || r.last < r.first) {
    return nsl_fail(err, NSL_E_USAGE, "--tiles wants tile numbers and ranges such as 12,40-44, not '%s'", piece);
  }
  tile_range *slot = push(&s->tiles, &s->n_tiles, sizeof *slot);
  if (!slot) { return no_memory(err); }
  *slot = r;
  return NSL_OK;
}

static nsl_status add_source_piece(nsl_select *s, const char *piece, nsl_error *err)
{
  int64_t id;
  if (!nsl_parse_i64(piece, &id)) { return nsl_fail(err, NSL_E_USAGE, "--source wants integer identifiers, not '%s'", piece); }
  int64_t *slot = push(&s->sources, &s->n_sources, sizeof *slot);
  if (!slot) { return no_memory(err); }
  *slot = id;
  return NSL_OK;
}

static nsl_status add_exposure_piece(nsl_select *s, const char *piece, nsl_error *err)
{
  if (!*piece) { return nsl_fail(err, NSL_E_USAGE, "--exposure wants observation identifiers, not an empty word"); }
  char **slot = push(&s->exposures, &s->n_exposures, sizeof *slot);
  if (!slot) { return no_memory(err); }
  *slot = nsl_strdup(piece);
  return *slot ? NSL_OK : no_memory(err);
}

static nsl_status add_part(nsl_select *s, const char *value, nsl_error *err)
{
  int64_t part = 0, n = 0;
  const char *slash = strchr(value, '/');
  char *first = slash ? strndup(value, (size_t)(slash - value)) : NULL;
  int ok = first && nsl_parse_i64(first, &part) && nsl_parse_i64(slash + 1, &n) && part >= 1 && part <= n && n <= 1000000;
  free(first);
  if (!ok) { return nsl_fail(err, NSL_E_USAGE, "--part wants I/N, the I-th of N shares, such as 3/16, not '%s'", value); }
  s->part = (int)part;
  s->n_parts = (int)n;
  return NSL_OK;
}

static int valid_region(region_kind kind, const double *v, int n)
{
  switch (kind) {
  case REGION_CONE:
    return n == 3 && fabs(v[1]) <= 90 && v[2] > 0 && v[2] <= 180;
  case REGION_BOX:
    return n == 4 && fabs(v[2]) <= 90 && fabs(v[3]) <= 90 && v[2] < v[3];
  case REGION_POLYGON:
    if (n < 6 || n % 2) { return 0; }
    for (int i = 1; i < n; i += 2) {
      if (fabs(v[i]) > 90) { return 0; }
    }
    return 1;
  }
  return 0;
}

static nsl_status add_region(nsl_select *s, region_kind kind, const char *option, const char *value, nsl_error *err)
{
  static const char *const wants[] = {"RA,DEC,RADIUS in degrees", "RA0,RA1,DEC0,DEC1 in degrees",
                                      "RA,DEC of at least three corners"};
  char *copy = nsl_strdup(value);
  region r = {kind, 0, NULL};
  int ok = copy != NULL;
  char *rest = copy, *piece;
  while (ok && (piece = strsep(&rest, ","))) {
    size_t n = (size_t)r.n;
    double *slot = push(&r.v, &n, sizeof *slot);
    r.n = (int)n;
    ok = slot && nsl_parse_f64(piece, slot);
  }
  free(copy);
  if (!ok || !valid_region(kind, r.v, r.n)) {
    free(r.v);
    return nsl_fail(err, NSL_E_USAGE, "%s wants %s, not '%s'", option, wants[kind], value);
  }
  region *slot = push(&s->regions, &s->n_regions, sizeof *slot);
  if (!slot) {
    free(r.v);
    return no_memory(err);
  }
  *slot = r;
  return NSL_OK;
}

nsl_status nsl_select_add(nsl_select *s, const char *option, const char *value, nsl_error *err)
{
  int takes_value;
  if (!nsl_select_is_option(option, &takes_value)) { return nsl_fail(err, NSL_E_USAGE, "'%s' is not a selection", option); }
  if (takes_value && (!value || !*value)) { return nsl_fail(err, NSL_E_USAGE, "%s wants a value", option); }
  if (!strcmp(option, "--tiles")) { return for_each_piece(s, value, add_tile_piece, err); }
  if (!strcmp(option, "--source")) { return for_each_piece(s, value, add_source_piece, err); }
  if (!strcmp(option, "--exposure")) { return for_each_piece(s, value, add_exposure_piece, err); }
  if (!strcmp(option, "--cone")) { return add_region(s, REGION_CONE, option, value, err); }
  if (!strcmp(option, "--box")) { return add_region(s, REGION_BOX, option, value, err); }
  if (!strcmp(option, "--polygon")) { return add_region(s, REGION_POLYGON, option, value, err); }
  if (!strcmp(option, "--part")) { return add_part(s, value, err); }
  if (!strcmp(option, "--failed")) { s->failed = 1; }
  if (!strcmp(option, "--stale")) { s->stale = 1; }
  if (!strcmp(option, "--force")) { s->force = 1; }
  return NSL_OK;
}

int nsl_select_is_open(const nsl_select *s)
{
  return !s->n_tiles && !s->n_regions && !s->n_exposures && !s->n_sources && !s->failed && !s->stale;
}

int nsl_select_is_all(const nsl_select *s) { return nsl_select_is_open(s) && !s->n_parts; }

int nsl_select_force(const nsl_select *s) { return s->force; }

int nsl_select_failed(const nsl_select *s) { return s->failed; }

int nsl_select_stale(const nsl_select *s) { return s->stale; }

int nsl_select_part(const nsl_select *s, int *index)
{
  *index = s->part;
  return s->n_parts;
}

static double wrap_360(double ra) { return ra - 360.0 * floor(ra / 360.0); }

/* Corners relative to the first one's meridian, so that polygons may cross RA 0; straight edges in (RA, Dec). */
static int in_polygon(const double *v, int n, double ra, double dec)
{
  int corners = n / 2, inside = 0;
  double x = wrap_360(ra - v[0] + 180.0);
  for (int i = 0, j = corners - 1; i < corners; j = i++) {
    double xi = wrap_360(v[2 * i] - v[0] + 180.0), yi = v[2 * i + 1];
    double xj = wrap_360(v[2 * j] - v[0] + 180.0), yj = v[2 * j + 1];
    if ((yi > dec) != (yj > dec) && x < (xj - xi) * (dec - yi) / (yj - yi) + xi) { inside = !inside; }
  }
  return inside;
}

static int in_region(const region *r, double ra, double dec)
{
  const double *v = r->v;
  switch (r->kind) {
  case REGION_CONE:
    return nsl_sky_distance_deg(ra, dec, v[0], v[1]) <= v[2];
  case REGION_BOX: {
    double width = v[1] - v[0] >= 360.0 ? 360.0 : wrap_360(v[1] - v[0]);
    return dec >= v[2] && dec <= v[3] && wrap_360(ra - v[0]) <= width;
  }
  case REGION_POLYGON:
    return in_polygon(v, r->n, ra, dec);
  }
  return 0;
}

static int tile_is_listed(const nsl_select *s, nsl_tile_id tile)
{
  for (size_t i = 0; i < s->n_tiles; i++) {
    if (tile >= s->tiles[i].first && tile <= s->tiles[i].last) { return 1; }
  }
  return 0;
}

/* A tile is touched by a region when a corner point of a fine grid over its circle lies in the region, or the region lies
 * inside the circle. Generous: a tile too many costs a tile, a tile too few would lose sources. */
static int region_touches(const region *r, double ra, double dec, double radius)
{
  if (r->kind == REGION_CONE) { return nsl_sky_distance_deg(ra, dec, r->v[0], r->v[1]) <= r->v[2] + radius; }
  if (r->kind == REGION_POLYGON) {
    for (int i = 0; i < r->n; i += 2) {
      if (nsl_sky_distance_deg(ra, dec, r->v[i], r->v[i + 1]) <= radius) { return 1; }
    }
  } else {
    double corner_ra[4] = {r->v[0], r->v[1], r->v[1], r->v[0]}, corner_dec[4] = {r->v[2], r->v[2], r->v[3], r->v[3]};
    for (int i = 0; i < 4; i++) {
      if (nsl_sky_distance_deg(ra, dec, corner_ra[i], corner_dec[i]) <= radius) { return 1; }
    }
  }
  enum { STEPS = 8 };
  double scale = cos(dec * M_PI / 180.0);
  for (int i = -STEPS; i <= STEPS; i++) {
    for (int j = -STEPS; j <= STEPS; j++) {
      double d = dec + radius * i / STEPS, a = ra + (scale > 1e-3 ? radius * j / STEPS / scale : 360.0 * j / (2 * STEPS));
      if (fabs(d) <= 90 && in_region(r, wrap_360(a), d)) { return 1; }
    }
  }
  return 0;
}

int nsl_select_tile(const nsl_select *s, int order, nsl_tile_id tile)
{
  if (tile_is_listed(s, tile)) { return 1; }
  if (!s->n_regions) { return 0; }
  double ra, dec, radius = nsl_tile_radius_deg(order);
  nsl_tile_centre(order, tile, &ra, &dec);
  for (size_t i = 0; i < s->n_regions; i++) {
    if (region_touches(&s->regions[i], ra, dec, radius)) { return 1; }
  }
  return 0;
}

int nsl_select_position(const nsl_select *s, int order, double ra_deg, double dec_deg)
{
  if (s->n_tiles && tile_is_listed(s, nsl_tile_of(order, ra_deg, dec_deg))) { return 1; }
  for (size_t i = 0; i < s->n_regions; i++) {
    if (in_region(&s->regions[i], ra_deg, dec_deg)) { return 1; }
  }
  return 0;
}

int nsl_select_row(const nsl_select *s, int order, int64_t id, double ra_deg, double dec_deg)
{
  if (nsl_select_is_all(s)) { return 1; }
  for (size_t k = 0; k < s->n_sources; k++) {
    if (s->sources[k] == id) { return 1; }
  }
  return nsl_select_position(s, order, ra_deg, dec_deg);
}

size_t nsl_select_exposures(const nsl_select *s, const char *const **obsids)
{
  *obsids = (const char *const *)s->exposures;
  return s->n_exposures;
}

size_t nsl_select_sources(const nsl_select *s, const int64_t **ids)
{
  *ids = s->sources;
  return s->n_sources;
}

char *nsl_select_text(const nsl_select *s)
{
  static const char *const region_option[] = {"--cone", "--box", "--polygon"};
  nsl_str t;
  nsl_str_init(&t);
  for (size_t i = 0; i < s->n_tiles; i++) {
    nsl_str_addf(&t, "%s%lld", i ? "," : " --tiles ", (long long)s->tiles[i].first);
    if (s->tiles[i].last != s->tiles[i].first) { nsl_str_addf(&t, "-%lld", (long long)s->tiles[i].last); }
  }
  for (size_t i = 0; i < s->n_regions; i++) {
    nsl_str_addf(&t, " %s ", region_option[s->regions[i].kind]);
    for (int k = 0; k < s->regions[i].n; k++) { nsl_str_addf(&t, "%s%.12g", k ? "," : "", s->regions[i].v[k]); }
  }
  for (size_t i = 0; i < s->n_exposures; i++) { nsl_str_addf(&t, "%s%s", i ? "," : " --exposure ", s->exposures[i]); }
  for (size_t i = 0; i < s->n_sources; i++) { nsl_str_addf(&t, "%s%lld", i ? "," : " --source ", (long long)s->sources[i]); }
  nsl_str_addf(&t, "%s%s%s", s->failed ? " --failed" : "", s->stale ? " --stale" : "", s->force ? " --force" : "");
  if (s->n_parts) { nsl_str_addf(&t, " --part %d/%d", s->part, s->n_parts); }
  char *text = t.failed ? NULL : nsl_strdup(t.n ? t.text + 1 : "all");
  nsl_str_free(&t);
  return text;
}
