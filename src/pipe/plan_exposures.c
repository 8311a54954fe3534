/* The exposures: patterns to files, files to headers; no pixel is read. A file that cannot be used is listed with its reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

enum { WARN_AT_MOST = 20 };

void nsl_exposure_list_free(nsl_exposure_list *l)
{
  nsl_paths_free(l->paths, l->n);
  free(l->size_bytes);
  free(l->mtime_ns);
  *l = (nsl_exposure_list){0};
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static nsl_status append(nsl_exposure_list *l, char **more, size_t n, nsl_error *err)
{
  char **grown = realloc(l->paths, (l->n + n + 1) * sizeof *grown);
  if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the list of exposures"); }
  l->paths = grown;
  memcpy(grown + l->n, more, n * sizeof *grown);
  l->n += n;
  return NSL_OK;
}

static void drop_repeated(nsl_exposure_list *l)
{
  size_t kept = 0;
  if (l->n) { qsort(l->paths, l->n, sizeof *l->paths, by_text); }
  for (size_t i = 0; i < l->n; i++) {
    if (kept && !strcmp(l->paths[kept - 1], l->paths[i])) {
      free(l->paths[i]);
    } else {
      l->paths[kept++] = l->paths[i];
    }
  }
  l->n = kept;
}

/* Sizes and times of the files, and the list's identity. A file that vanishes meanwhile is found out when it is opened. */
static nsl_status look_at_files(nsl_exposure_list *l, nsl_error *err)
{
  l->size_bytes = calloc(l->n + 1, sizeof *l->size_bytes);
  l->mtime_ns = calloc(l->n + 1, sizeof *l->mtime_ns);
  nsl_hasher *h = nsl_hasher_new();
  if (!l->size_bytes || !l->mtime_ns || !h) {
    nsl_hasher_free(h);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for the list of exposures");
  }
  for (size_t i = 0; i < l->n; i++) {
    if (nsl_file_stat(l->paths[i], &l->size_bytes[i], &l->mtime_ns[i], NULL) != NSL_OK) { l->size_bytes[i] = -1; }
    nsl_hasher_add(h, l->paths[i], strlen(l->paths[i]) + 1);
    nsl_hasher_add(h, &l->size_bytes[i], sizeof *l->size_bytes);
    nsl_hasher_add(h, &l->mtime_ns[i], sizeof *l->mtime_ns);
  }
  l->id = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return NSL_OK;
}

nsl_status nsl_exposure_list_make(const nsl_config *cfg, nsl_exposure_list *out, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *const *patterns;
  *out = (nsl_exposure_list){0};
  NSL_TRY(nsl_config_require(cfg, "input.exposures", err));
  size_t n_patterns = nsl_config_list(cfg, "input.exposures", &patterns);
  for (size_t p = 0; p < n_patterns; p++) {
    char **paths;
    size_t n;
    NSL_TRY(nsl_glob(patterns[p], &paths, &n, err));
    if (n == 0) { nsl_warn(log, "input.exposures: no file matches '%s'", patterns[p]); }
    st = append(out, paths, n, err);
    if (st != NSL_OK) {
      nsl_paths_free(paths, n);
      goto cleanup;
    }
    free(paths);
  }
  drop_repeated(out);
  if (out->n == 0) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: input.exposures matches no file ('%s'%s); correct the pattern", nsl_config_file(cfg),
              patterns[0], n_patterns > 1 ? ", ..." : "");
  }
  NSL_TRY(look_at_files(out, err));
cleanup:
  if (st != NSL_OK) { nsl_exposure_list_free(out); }
  return st;
}

/* A file that the plan knew. Of those it left out neither size nor time is known: size is -1. */
typedef struct {
  const char *path;
  int64_t size_bytes, mtime_ns;
} known_file;

static int known_by_path(const void *a, const void *b)
{
  return strcmp(((const known_file *)a)->path, ((const known_file *)b)->path);
}

typedef struct {
  size_t n;
  const char *first;
} difference;

static void note(difference *d, const char *path)
{
  if (d->n++ == 0) { d->first = path; }
}

nsl_status nsl_exposure_list_compare(const nsl_exposure_list *list, const nsl_plan *plan, char *text, size_t size, nsl_error *err)
{
  enum { ADDED, CHANGED, REMOVED, N_WAYS };
  static const char *const ways[N_WAYS] = {"added", "changed", "removed"};
  difference found[N_WAYS] = {{0, NULL}};
  size_t n = 0, used = 0;
  known_file *known = calloc(plan->n_exposures + plan->n_lost + 1, sizeof *known);
  if (!known) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the list of exposures"); }
  for (size_t i = 0; i < plan->n_exposures; i++) {
    const nsl_exposure_info *e = &plan->exposures[i];
    known[n++] = (known_file){e->path, e->size_bytes, e->mtime_ns};
  }
  for (size_t i = 0; i < plan->n_lost; i++) { known[n++] = (known_file){plan->lost_path[i], -1, -1}; }
  if (n) { qsort(known, n, sizeof *known, known_by_path); }
  for (size_t i = 0, k = 0; i < list->n || k < n;) {
    int order = i == list->n ? 1 : k == n ? -1 : strcmp(list->paths[i], known[k].path);
    if (order < 0) {
      note(&found[ADDED], list->paths[i]);
    } else if (order > 0) {
      note(&found[REMOVED], known[k].path);
    } else if (known[k].size_bytes >= 0 && (list->size_bytes[i] != known[k].size_bytes || list->mtime_ns[i] != known[k].mtime_ns)) {
      note(&found[CHANGED], list->paths[i]);
    }
    i += order <= 0;
    k += order >= 0;
  }
  snprintf(text, size, "an exposure that was left out has changed");
  for (int w = 0; w < N_WAYS && used < size; w++) {
    if (found[w].n == 0) { continue; }
    char more[40] = "";
    if (found[w].n > 1) { snprintf(more, sizeof more, " and %zu more", found[w].n - 1); }
    used +=
        (size_t)snprintf(text + used, size - used, "%s%s: %s%s", used ? "; " : "exposures were ", ways[w], found[w].first, more);
  }
  free(known);
  return NSL_OK;
}

nsl_status nsl_exposure_info_copy(const nsl_exposure_info *from, nsl_exposure_info *to, nsl_error *err)
{
  *to = *from;
  to->path = nsl_strdup(from->path);
  return to->path ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "%s: no memory", from->path);
}

static int by_path(const void *key, const void *entry) { return strcmp(key, (*(const nsl_exposure_info *const *)entry)->path); }

static int pointer_by_path(const void *a, const void *b)
{
  return strcmp((*(const nsl_exposure_info *const *)a)->path, (*(const nsl_exposure_info *const *)b)->path);
}

static int by_observation(const void *a, const void *b)
{
  const nsl_exposure_info *x = a, *y = b;
  int c = strcmp(x->obsid, y->obsid);
  if (c) { return c; }
  if (x->detector_id != y->detector_id) { return x->detector_id < y->detector_id ? -1 : 1; }
  return strcmp(x->path, y->path);
}

static nsl_status add_lost(nsl_plan *plan, const char *path, const char *reason, const nsl_log *log, nsl_error *err)
{
  char **paths = realloc(plan->lost_path, (plan->n_lost + 1) * sizeof *paths);
  if (paths) { plan->lost_path = paths; }
  char **reasons = realloc(plan->lost_reason, (plan->n_lost + 1) * sizeof *reasons);
  if (reasons) { plan->lost_reason = reasons; }
  char *path_copy = nsl_strdup(path), *reason_copy = nsl_strdup(reason);
  if (!paths || !reasons || !path_copy || !reason_copy) {
    free(path_copy);
    free(reason_copy);
    return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path);
  }
  plan->lost_path[plan->n_lost] = path_copy;
  plan->lost_reason[plan->n_lost++] = reason_copy;
  if (plan->n_lost <= WARN_AT_MOST) { nsl_warn(log, "exposure left out: %s", reason); }
  if (plan->n_lost == WARN_AT_MOST) { nsl_warn(log, "further exposures are left out silently; `noslit status --why` lists them"); }
  return NSL_OK;
}

/* Of several files of the same observation and detector (versions) only the last by name is used. */
static nsl_status drop_older_versions(nsl_plan *plan, const nsl_log *log, nsl_error *err)
{
  nsl_exposure_info *e = plan->exposures;
  size_t kept = 0;
  nsl_status st = NSL_OK;
  for (size_t i = 0; i < plan->n_exposures; i++) {
    int same = kept && !strcmp(e[kept - 1].obsid, e[i].obsid) && e[kept - 1].detector_id == e[i].detector_id;
    if (same && st == NSL_OK) {
      char reason[NSL_ERROR_TEXT_MAX];
      snprintf(reason, sizeof reason, "%s: observation %s, detector %d is also in %s, which is used", e[kept - 1].path, e[i].obsid,
               e[i].detector_id, e[i].path);
      st = add_lost(plan, e[kept - 1].path, reason, log, err);
    }
    if (same) { nsl_exposure_info_free(&e[--kept]); }
    e[kept++] = e[i];
  }
  plan->n_exposures = kept;
  return st;
}

nsl_status nsl_plan_inspect(const nsl_exposure_list *list, const nsl_instrument *inst, const nsl_plan *old, nsl_plan *plan,
                            const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_exposure_info **known = NULL;
  size_t n_known = 0;
  nsl_progress progress;
  nsl_progress_start(&progress, log, "exposure headers", (long)list->n);
  plan->exposures = calloc(list->n + 1, sizeof *plan->exposures);
  if (!plan->exposures) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu exposures", list->n); }
  if (old && nsl_hash_equal(old->instrument_hash, inst->hash)) {
    n_known = old->n_exposures;
    known = calloc(n_known + 1, sizeof *known);
    if (!known) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu exposures", n_known); }
    for (size_t i = 0; i < n_known; i++) { known[i] = &old->exposures[i]; }
    qsort(known, n_known, sizeof *known, pointer_by_path);
  }
  for (size_t i = 0; i < list->n; i++) {
    nsl_exposure_info *e = &plan->exposures[plan->n_exposures];
    const nsl_exposure_info **hit = n_known ? bsearch(list->paths[i], known, n_known, sizeof *known, by_path) : NULL;
    if (hit && (*hit)->size_bytes == list->size_bytes[i] && (*hit)->mtime_ns == list->mtime_ns[i]) {
      NSL_TRY(nsl_exposure_info_copy(*hit, e, err));
      plan->n_exposures++;
    } else {
      nsl_error why = NSL_ERROR_INIT;
      if (nsl_exposure_inspect(list->paths[i], inst, e, &why) == NSL_OK) {
        plan->n_exposures++;
      } else {
        NSL_TRY(add_lost(plan, list->paths[i], why.text, log, err));
      }
    }
    nsl_progress_update(&progress, (long)i + 1, NULL);
  }
  if (plan->n_exposures) { qsort(plan->exposures, plan->n_exposures, sizeof *plan->exposures, by_observation); }
  NSL_TRY(drop_older_versions(plan, log, err));
cleanup:
  free(known);
  return st;
}
