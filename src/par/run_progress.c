/* How far a run is: one line for people, progress.json for `noslit status`. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/str.h"
#include "par/run_internal.h"

#define LOOK_EVERY_S 0.2 /* the master has messages to answer */
#define FILE_EVERY_S 10.0

/* Of all workers, tiles under way included. */
typedef struct {
  int workers, at_work, laziest; /* rank; -1: none */
  double busy, io, laziest_busy; /* shares: of the time so far; of the busy time of finished tiles; of that rank's time */
  double under_way_s, longest_left_s;
} usage;

/* Measured over predicted seconds of the tiles made so far. */
static double correction(const nsl_run_ledger *l)
{
  double measured = 0;
  for (int r = 0; r < l->n_ranks; r++) { measured += l->ranks[r].busy_s; }
  return l->made_cost_s > 0 && measured > 0 ? measured / l->made_cost_s : 1;
}

static double under_way_s(const nsl_rank_use *u, double now_s) { return u->job >= 0 ? now_s - u->since_s : 0; }

static usage look(const nsl_run_ledger *l, double now_s)
{
  usage x = {.laziest = -1, .laziest_busy = INFINITY};
  double elapsed = fmax(now_s - l->t_start_s, 1e-9), finished = 0, io = 0, all = 0, factor = correction(l);
  for (int r = l->n_ranks > 1; r < l->n_ranks; r++) {
    const nsl_rank_use *u = &l->ranks[r];
    double now = under_way_s(u, now_s), busy = (u->busy_s + now) / elapsed;
    x.workers++;
    x.at_work += u->job >= 0;
    x.under_way_s += now;
    finished += u->busy_s;
    io += u->io_s;
    all += u->busy_s + now;
    if (u->job >= 0) { x.longest_left_s = fmax(x.longest_left_s, l->jobs->cost_s[u->job] * factor - now); }
    if (busy < x.laziest_busy) {
      x.laziest_busy = busy;
      x.laziest = r;
    }
  }
  x.busy = all / (elapsed * x.workers);
  x.io = finished > 0 ? io / finished : 0;
  return x;
}

/* Work that is left over workers, but not before the longest tile under way has ended. Tiles differ and are not dealt out at
 * random, so that the rate of tiles says little. Negative while nothing is known. */
static double eta_s(const nsl_run_ledger *l, const usage *x)
{
  if (!l->made && l->jobs->n_to_make) { return -1; }
  double left = (l->to_make_cost_s - l->ended_cost_s) * correction(l) - x->under_way_s;
  return fmax(fmax(left, 0) / (x->at_work ? x->at_work : x->workers), x->longest_left_s);
}

/* Appends to out, behind a comma if there is something already. */
static void add(char *out, size_t size, const char *format, ...)
{
  size_t n = strlen(out);
  if (n && n + 2 < size) { n += (size_t)snprintf(out + n, size - n, ", "); }
  va_list ap;
  va_start(ap, format);
  vsnprintf(out + n, size - n, format, ap);
  va_end(ap);
}

static void note_text(const nsl_run_ledger *l, const nsl_sched_counts *c, const usage *x, char *out, size_t size)
{
  out[0] = '\0';
  if (l->made) {
    add(out, size, "busy %.0f %% (I/O %.0f %%)", 100 * fmin(x->busy, 1), 100 * x->io);
    if (x->workers > 1) { add(out, size, "least busy rank %d with %.0f %%", x->laziest, 100 * fmin(x->laziest_busy, 1)); }
  }
  if (l->failed_attempts) { add(out, size, "%lld failed attempts", (long long)l->failed_attempts); }
  if (c->quarantined) { add(out, size, "%d quarantined", c->quarantined); }
  if (c->lost_workers) { add(out, size, "%d workers lost", c->lost_workers); }
}

/* --- progress.json --- */

static char *progress_path(const nsl_run_ledger *l) { return nsl_path_join(l->folder, "progress.json"); }

static nsl_json *rank_list(const nsl_run_ledger *l, double now_s)
{
  nsl_json *list = nsl_json_array();
  for (int r = l->n_ranks > 1; r < l->n_ranks; r++) {
    const nsl_rank_use *u = &l->ranks[r];
    double busy = u->busy_s + under_way_s(u, now_s);
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "rank", r);
    nsl_json_set_i64(o, "tiles", u->tiles);
    nsl_json_set_f64(o, "busy_s", busy);
    nsl_json_set_f64(o, "io_s", u->io_s);
    nsl_json_set_f64(o, "wait_s", fmax(now_s - l->t_start_s - busy, 0));
    if (u->job >= 0) {
      nsl_json_set_i64(o, "tile", l->jobs->ids[u->job]);
      nsl_json_set_f64(o, "tile_s", under_way_s(u, now_s));
    }
    nsl_json_push(list, o);
  }
  return list;
}

/* For whoever wants to look; a run does not fail of it. */
static void write_file(const nsl_run_ledger *l, const nsl_sched_counts *c, const usage *x, double now_s)
{
  char utc[32], *path = progress_path(l);
  nsl_json *root = nsl_json_object();
  nsl_clock_utc(utc);
  nsl_json_set_text(root, "run", l->run_id);
  nsl_json_set_text(root, "select", l->selection);
  nsl_json_set_text(root, "utc", utc);
  nsl_json_set_f64(root, "elapsed_s", now_s - l->t_start_s);
  nsl_json_set_i64(root, "tiles", l->jobs->n);
  nsl_json_set_i64(root, "ended", c->done + c->quarantined);
  nsl_json_set_i64(root, "made", l->made);
  nsl_json_set_i64(root, "failed_attempts", l->failed_attempts);
  nsl_json_set_i64(root, "quarantined", c->quarantined);
  nsl_json_set_i64(root, "workers", x->workers);
  nsl_json_set_i64(root, "workers_lost", c->lost_workers);
  nsl_json_set_f64(root, "busy", x->busy);
  nsl_json_set_f64(root, "io", x->io);
  if (l->progress.eta_s >= 0) { nsl_json_set_f64(root, "eta_s", l->progress.eta_s); }
  nsl_json_set(root, "per_rank", rank_list(l, now_s));
  if (path) { nsl_json_write(path, root, NULL); }
  nsl_json_free(root);
  free(path);
}

void nsl_run_progress_end(nsl_run_ledger *l, const nsl_sched_counts *c)
{
  char note[200], *path = progress_path(l);
  usage x = look(l, nsl_clock_s());
  note_text(l, c, &x, note, sizeof note);
  nsl_progress_end(&l->progress, c->done + c->quarantined, note);
  if (path) { unlink(path); }
  free(path);
}

void nsl_run_progress_pulse(void *ledger, const nsl_sched_counts *c)
{
  nsl_run_ledger *l = ledger;
  double now = nsl_clock_s();
  nsl_journal_flush(l->journal, 0);
  if (now - l->t_looked_s < LOOK_EVERY_S) { return; }
  l->t_looked_s = now;
  char note[200];
  usage x = look(l, now);
  note_text(l, c, &x, note, sizeof note);
  l->progress.eta_s = eta_s(l, &x);
  nsl_progress_update(&l->progress, c->done + c->quarantined, note);
  if (now - l->t_progress_s >= FILE_EVERY_S) {
    l->t_progress_s = now;
    write_file(l, c, &x, now);
  }
}
