/* Nearest neighbours on the sphere: sources lie in zones of declination, sorted by right ascension (Gray et al. 2006). */
#include <math.h>
#include <stdlib.h>

#include "model/match_internal.h"
#include "noslit/model/skytile.h"

#define RADIAN (M_PI / 180)
#define ZONE_DEG_MIN (30.0 / 3600)

static double turn(double ra_deg)
{
  double ra = fmod(ra_deg, 360);
  return ra < 0 ? ra + 360 : ra;
}

static size_t zone_of(const nsl_matcher *m, double dec_deg)
{
  double z = floor((dec_deg + 90) / m->zone_deg);
  return z < 0 ? 0 : z >= (double)m->n_zones ? m->n_zones - 1 : (size_t)z;
}

static int by_ra(const void *a, const void *b)
{
  const nsl_zone_entry *x = a, *y = b;
  if (x->ra_deg != y->ra_deg) { return x->ra_deg < y->ra_deg ? -1 : 1; }
  return x->source < y->source ? -1 : x->source > y->source;
}

static int usable(double ra_deg, double dec_deg) { return isfinite(ra_deg) && isfinite(dec_deg) && fabs(dec_deg) <= 90; }

nsl_status nsl_matcher_new_by_position(const double *ra_deg, const double *dec_deg, size_t n, double radius_arcsec,
                                       nsl_matcher **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_matcher *m = NULL;
  size_t *fill = NULL;
  if (!(radius_arcsec > 0) || radius_arcsec > 3600) {
    return nsl_fail(err, NSL_E_USAGE, "matching radius %g arcsec: give one above 0 and up to 3600", radius_arcsec);
  }
  NSL_TRY(nsl_matcher_alloc(n, &m, err));
  m->radius_deg = radius_arcsec / 3600;
  m->zone_deg = fmax(m->radius_deg, ZONE_DEG_MIN);
  m->n_zones = (size_t)ceil(180 / m->zone_deg);
  m->zone_start = calloc(m->n_zones + 1, sizeof *m->zone_start);
  m->entries = malloc((n ? n : 1) * sizeof *m->entries);
  fill = malloc(m->n_zones * sizeof *fill);
  if (!m->zone_start || !m->entries || !fill) { NSL_THROW(err, NSL_E_NOMEM, "no memory to index %zu positions", n); }
  for (size_t i = 0; i < n; i++) {
    if (usable(ra_deg[i], dec_deg[i])) { m->zone_start[zone_of(m, dec_deg[i]) + 1]++; }
  }
  for (size_t z = 0; z < m->n_zones; z++) {
    fill[z] = m->zone_start[z];
    m->zone_start[z + 1] += m->zone_start[z];
  }
  for (size_t i = 0; i < n; i++) {
    if (!usable(ra_deg[i], dec_deg[i])) { continue; }
    m->entries[fill[zone_of(m, dec_deg[i])]++] = (nsl_zone_entry){turn(ra_deg[i]), dec_deg[i], (uint32_t)i};
  }
  for (size_t z = 0; z < m->n_zones; z++) {
    qsort(m->entries + m->zone_start[z], m->zone_start[z + 1] - m->zone_start[z], sizeof *m->entries, by_ra);
  }
  *out = m;
  m = NULL;
cleanup:
  free(fill);
  nsl_matcher_free(m);
  return st;
}

typedef struct {
  const nsl_matcher *m;
  double ra_deg, dec_deg;
  const nsl_zone_entry *nearest;
  double separation_deg;
  int n_within;
} search;

/* Looks at the entries of one zone with right ascension in [lo, hi]. */
static void search_window(search *s, size_t zone, double lo, double hi)
{
  size_t a = s->m->zone_start[zone], end = s->m->zone_start[zone + 1], b = end;
  while (a < b) { /* first entry at or beyond lo */
    size_t mid = a + (b - a) / 2;
    if (s->m->entries[mid].ra_deg < lo) {
      a = mid + 1;
    } else {
      b = mid;
    }
  }
  for (; a < end && s->m->entries[a].ra_deg <= hi; a++) {
    const nsl_zone_entry *e = &s->m->entries[a];
    double d = nsl_sky_distance_deg(s->ra_deg, s->dec_deg, e->ra_deg, e->dec_deg);
    if (d > s->m->radius_deg) { continue; }
    s->n_within++;
    if (!s->nearest || d < s->separation_deg || (d == s->separation_deg && e->source < s->nearest->source)) {
      s->nearest = e;
      s->separation_deg = d;
    }
  }
}

/* Sources within the radius of a row; none for a row without a position. */
static search look_around(const nsl_matcher *m, const nsl_truth_row *row)
{
  if (!usable(row->ra_deg, row->dec_deg)) { return (search){0}; }
  double r = m->radius_deg, dec = row->dec_deg, ra = turn(row->ra_deg), half = 180;
  if (fabs(dec) + r < 89.9) { half = asin(sin(r * RADIAN) / cos(dec * RADIAN)) / RADIAN * (1 + 1e-9) + 1e-12; }
  search s = {m, ra, dec, NULL, 0, 0};
  for (size_t z = zone_of(m, dec - r), last = zone_of(m, dec + r); z <= last; z++) {
    if (half >= 180) {
      search_window(&s, z, 0, 360);
    } else {
      search_window(&s, z, ra - half, ra + half);
      if (ra - half < 0) { search_window(&s, z, ra - half + 360, 360); }
      if (ra + half >= 360) { search_window(&s, z, 0, ra + half - 360); }
    }
  }
  return s;
}

int nsl_match_touches_position(const nsl_matcher *m, const nsl_truth_row *row) { return look_around(m, row).n_within > 0; }

nsl_status nsl_match_by_position(nsl_matcher *m, const nsl_truth_row *row, nsl_error *err)
{
  search s = look_around(m, row);
  if (!s.nearest) { return NSL_OK; }
  uint32_t source = s.nearest->source, partner = m->partner[source];
  double separation_arcsec = s.separation_deg * 3600;
  m->counts.ambiguous += s.n_within > 1 || partner;
  if (!partner) { return nsl_matcher_pair(m, source, row, separation_arcsec, err); }
  nsl_match *old = &m->matches[partner - 1];
  if (separation_arcsec < old->separation_arcsec) { *old = (nsl_match){source, *row, separation_arcsec}; }
  return NSL_OK;
}
