/* The small sky round a stamp's source. */
#include "mock_studio.h"

/* The second galaxy of a blend: no brighter than the first, no farther than half an arc second, and not in the catalogue. */
static nsl_status add_companion(nsl_studio *s, const nsl_mock_source *src, nsl_error *err)
{
  nsl_mock *m = s->m;
  nsl_mock_neighbour *nb = &s->neighbours[s->n_neighbours];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, 10);
  int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + NSL_MOCK_FAINT_OFFSET + (int64_t)(nsl_rng_u64(&r) % 300000000000u);
  nsl_population galaxies = m->population;
  galaxies.star_fraction = galaxies.quasar_fraction = 0;
  nsl_population_draw(&galaxies, m->seed, id, 1, NSL_MOCK_COUNT_SLOPE, &nb->source);
  nb->source.mag = src->mag + nsl_rng_range(&r, 0, 1.5);
  nb->source.catalogued = 0;
  nb->entry = (nsl_source){.id = id};
  nb->east = nsl_rng_range(&r, -0.5, 0.5);
  nb->north = nsl_rng_range(&r, -0.5, 0.5);
  s->n_neighbours++;
  return nsl_mock_pool_entry(m, s->set, (uint64_t)id, 0, &nb->sed, err);
}

nsl_status nsl_studio_draw_neighbours(nsl_studio *s, const nsl_mock_source *src, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  s->n_neighbours = 0;
  if (s->type == NSL_STAMP_BLEND) { NSL_TRY(add_companion(s, src, err)); }
  if (s->clean) { return NSL_OK; }
  double scale = m->inst->pixel_scale_arcsec, half_x = s->reach_x_px * scale, half_y = NSL_STUDIO_REACH_Y_PX * scale;
  double area_arcmin2 = 4 * half_x * half_y / 3600;
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, 1);
  for (int faint = 0; faint < 2; faint++) {
    double density = faint ? nsl_population_faint_density(&m->population) : nsl_population_density(&m->population);
    long n = (long)nsl_rng_poisson(&r, density * area_arcmin2);
    for (long k = 0; k < n && s->n_neighbours < NSL_STUDIO_NEIGHBOURS_MAX; k++) {
      nsl_mock_neighbour *nb = &s->neighbours[s->n_neighbours];
      /* Their identifiers are drawn, in the set's own range. */
      int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + NSL_MOCK_FAINT_OFFSET + (int64_t)(nsl_rng_u64(&r) % 300000000000u);
      nb->east = nsl_rng_range(&r, -half_x, half_x);
      nb->north = nsl_rng_range(&r, -half_y, half_y);
      nsl_population_draw(&m->population, m->seed, id, !faint, NSL_MOCK_COUNT_SLOPE, &nb->source);
      NSL_TRY(nsl_mock_pool_entry(m, s->set, (uint64_t)id, nb->source.kind == NSL_KIND_STAR, &nb->sed, err));
      nsl_population_catalogue_entry(&m->population, m->seed, &nb->source, &nb->entry);
      nb->entry_east = nb->east + nb->entry.ra_deg * 3600;
      nb->entry_north = nb->north + nb->entry.dec_deg * 3600;
      s->n_neighbours++;
    }
  }
cleanup:
  return st;
}
