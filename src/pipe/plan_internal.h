/* The pieces that make and read the plan share these. */
#ifndef NOSLIT_PIPE_PLAN_INTERNAL_H
#define NOSLIT_PIPE_PLAN_INTERNAL_H

#include "noslit/io/h5.h"
#include "noslit/pipe/plan.h"

#define NSL_PLAN_VERSION 2
#define NSL_PLAN_DIR_TILES 10000 /* tiles per Dir=<d>, as in the tile files' paths */
#define NSL_PLAN_LINE 6          /* numbers a tile in the tile table of its Dir */

static inline int64_t nsl_plan_dir(nsl_tile_id tile) { return tile / NSL_PLAN_DIR_TILES * NSL_PLAN_DIR_TILES; }

/* --- plan_spool.c: records sorted into buckets, in memory while they fit, then in files --- */
typedef struct nsl_spool nsl_spool;
nsl_status nsl_spool_new(const char *folder, const char *name, size_t record_size, size_t memory, nsl_spool **out, nsl_error *err);
void nsl_spool_free(nsl_spool *s); /* removes its files */
nsl_status nsl_spool_add(nsl_spool *s, int64_t bucket, const void *record, nsl_error *err);
size_t nsl_spool_buckets(nsl_spool *s); /* sorts the buckets by number; add no more after it */
/* Records of bucket i in the order they came; caller frees. */
nsl_status nsl_spool_load(nsl_spool *s, size_t i, int64_t *bucket, void **records, size_t *n, nsl_error *err);

/* --- plan_catalogue.c --- */
typedef struct {
  nsl_source source;
  nsl_tile_id tile;
} nsl_plan_source;

typedef struct {
  nsl_spool *sources; /* of nsl_plan_source, by Dir */
  nsl_plan_rejected *rejected;
  size_t n_rejected;
  int64_t n_rows;
} nsl_plan_catalogue;

/* Streams the catalogue into tiles and checks it. */
nsl_status nsl_plan_read_catalogue(const nsl_config *cfg, const char *folder, nsl_plan_catalogue *out, nsl_error *err);
void nsl_plan_catalogue_free(nsl_plan_catalogue *c);

/* --- plan_exposures.c --- */
typedef struct {
  char **paths; /* sorted, unique */
  int64_t *size_bytes, *mtime_ns;
  size_t n;
  nsl_hash id; /* of the list */
} nsl_exposure_list;
nsl_status nsl_exposure_list_make(const nsl_config *cfg, nsl_exposure_list *out, const nsl_log *log, nsl_error *err);
void nsl_exposure_list_free(nsl_exposure_list *l);
/* In what the list differs from that of a plan with exposures, for people: "exposures were changed: a.fits and 2 more". */
nsl_status nsl_exposure_list_compare(const nsl_exposure_list *list, const nsl_plan *plan, char *text, size_t size, nsl_error *err);
/* Fills exposures and lost of the plan. old (may be NULL): a plan with exposures, whose entries serve for unchanged files. */
nsl_status nsl_plan_inspect(const nsl_exposure_list *list, const nsl_instrument *inst, const nsl_plan *old, nsl_plan *plan,
                            const nsl_log *log, nsl_error *err);
nsl_status nsl_exposure_info_copy(const nsl_exposure_info *from, nsl_exposure_info *to, nsl_error *err);

/* --- plan_footprint.c --- */
typedef struct {
  double centre[3], east[3], north[3]; /* tangent plane */
  double cos_radius;                   /* of the circle, margin included */
  double x[4], y[4];                   /* corners on the plane, degrees, counter-clockwise */
  double margin_deg;
} nsl_footprint;
void nsl_footprint_make(const nsl_exposure_info *e, double margin_deg, nsl_footprint *out);
void nsl_unit_vector(double ra_deg, double dec_deg, double v[3]);
int nsl_footprint_holds(const nsl_footprint *f, const double v[3]);
/* How far off the detector a direct position may lie and still send its spectrum there; how far from a source a neighbour may stand
 * and still put light on its spectrum. */
void nsl_plan_margins(const nsl_instrument *inst, double *exposure_deg, double *neighbour_deg);

/* --- plan_shard.c: the files of one Dir --- */
char *nsl_plan_shard_path(const char *folder, int64_t dir, const char *kind); /* kind: "sources" or "tiles" */
/* sources sorted by (tile, id). */
nsl_status nsl_shard_write_sources(const char *folder, int64_t dir, const nsl_plan_source *sources, size_t n, nsl_error *err);

/* Reads sources tile by tile, keeping a few files open and a few tiles in memory. */
typedef struct nsl_source_reader nsl_source_reader;
nsl_status nsl_source_reader_new(const char *folder, nsl_source_reader **out, nsl_error *err);
void nsl_source_reader_free(nsl_source_reader *r);
/* All catalogued sources of a tile, sorted by id; borrowed until the next call. n 0 for a tile without any. */
nsl_status nsl_source_reader_get(nsl_source_reader *r, nsl_tile_id tile, const nsl_source **sources, size_t *n, nsl_error *err);
/* The tiles of a Dir that hold sources; borrowed until the next call. */
nsl_status nsl_source_reader_tiles(nsl_source_reader *r, int64_t dir, const int64_t **tiles, size_t *n, nsl_error *err);

/* --- plan_records.c: exposure tables in HDF5 --- */
nsl_status nsl_exposures_write(nsl_h5 *f, const char *group, const nsl_exposure_info *const *exposures, size_t n, nsl_error *err);
/* Entries index[0..n) of the table, index ascending; or all of it (n entries) with index NULL. Caller frees each and the array. */
nsl_status nsl_exposures_read(nsl_h5 *f, const char *group, const int32_t *index, size_t n, nsl_exposure_info **out,
                              nsl_error *err);
nsl_status nsl_texts_write(nsl_h5 *f, const char *path, char *const *texts, size_t n, nsl_error *err);
nsl_status nsl_texts_read(nsl_h5 *f, const char *path, char ***texts, size_t n, nsl_error *err);

/* --- plan_task.c --- */
typedef struct {
  int order;
  double mag_faint, neighbour_mag, neighbour_deg;
} nsl_task_rules;
int nsl_is_measured(const nsl_task_rules *rules, const nsl_source *s);
/* Fills sources and neighbours of the task. */
nsl_status nsl_task_sources(nsl_source_reader *r, const nsl_task_rules *rules, nsl_tile_id tile, nsl_tile_task *task,
                            nsl_error *err);
nsl_status nsl_task_hash(nsl_tile_task *task, nsl_error *err); /* sets input_hash */

/* --- plan_index.c --- */
typedef struct {
  int32_t exposure, tile; /* indexes */
} nsl_plan_pair;

/* The four identities. */
nsl_status nsl_plan_identify(const nsl_config *cfg, const nsl_instrument *inst, const nsl_exposure_list *list, nsl_plan *plan,
                             nsl_error *err);
nsl_status nsl_plan_read_identities(const nsl_config *cfg, nsl_plan *plan, nsl_error *err); /* of the index on disk */
char *nsl_plan_path(const nsl_config *cfg, const char *name); /* <workdir>/plan/<name>; caller frees */
char *nsl_plan_generation(const nsl_plan *plan);              /* folder name made of the identities; caller frees */
/* pairs: sorted by exposure. */
nsl_status nsl_plan_write_index(const nsl_config *cfg, const nsl_plan *plan, const nsl_plan_pair *pairs, size_t n_pairs,
                                nsl_error *err);
nsl_status nsl_plan_read_pairs(const nsl_config *cfg, nsl_plan_pair **pairs, size_t *n, nsl_error *err); /* caller frees */

#endif
