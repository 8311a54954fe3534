#include <math.h>
#include <stdlib.h>

#include "noslit/base/clock.h"
#include "noslit/base/hash.h"
#include "noslit/io/json.h"
#include "noslit/pipe/made_by.h"
#include "pipe/train_internal.h"

static const char *const cut_names[NSL_TRAIN_CUTS] = {"all", "snr_gi>=1", "snr_gi>=3", "snr_gi>=5", "snr_gi>=10"};

static nsl_json *settings(const nsl_train_options *o)
{
  nsl_json *j = nsl_json_object();
  nsl_json_set_text(j, "architecture", o->architecture);
  nsl_json_set_text(j, "from", o->from);
  nsl_json_set_i64(j, "width", o->width);
  nsl_json_set_i64(j, "bins", o->bins);
  nsl_json_set_i64(j, "epochs", o->epochs);
  nsl_json_set_i64(j, "batch", o->batch);
  nsl_json_set_i64(j, "group", o->group);
  nsl_json_set_i64(j, "shift_y", o->shift_y);
  nsl_json_set_text(j, "loss", o->squared ? "squared" : "nll");
  nsl_json_set_i64(j, "shift_x_range", o->shift_x_range);
  nsl_json_set_text(j, "shift_bands", o->shift_bands_apart ? "apart" : "together");
  nsl_json_set_text(j, "shift_edge", o->shift_roll ? "roll" : "empty");
  nsl_json_set_bool(j, "flip", o->flip);
  nsl_json_set_f64(j, "dropout", o->dropout);
  nsl_json_set_f64(j, "lr", o->lr);
  nsl_json_set_f64(j, "lr_min", o->lr_min);
  nsl_json_set_f64(j, "warm_up", o->warm_up);
  nsl_json_set_f64(j, "weight_decay", o->weight_decay);
  nsl_json_set_f64(j, "beta2", o->beta2);
  nsl_json_set_f64(j, "clip", o->clip);
  nsl_json_set_f64(j, "label_sigma", o->label_sigma);
  nsl_json_set_f64(j, "shift_x", o->shift_x);
  nsl_json_set_f64(j, "contamination_k", o->contamination_k);
  nsl_json_set_i64(j, "seed", (int64_t)o->seed);
  return j;
}

static nsl_json *history(const nsl_train_state *s)
{
  nsl_json *list = nsl_json_array();
  for (size_t i = 0; i < s->n_history; i++) {
    const nsl_train_point *p = &s->history[i];
    nsl_json *j = nsl_json_object(), *nmad = nsl_json_array();
    nsl_json_set_i64(j, "step", (int64_t)p->step);
    nsl_json_set_f64(j, "loss", p->loss);
    nsl_json_set_f64(j, "nll_u", p->nll);
    for (int c = 0; c < NSL_TRAIN_CUTS; c++) { nsl_json_push_f64(nmad, p->sigma_nmad[c]); }
    nsl_json_set(j, "sigma_nmad", nmad);
    nsl_json_push(list, j);
  }
  return list;
}

static nsl_json *metrics(const nsl_metrics best[NSL_TRAIN_CUTS])
{
  nsl_json *all = nsl_json_object();
  for (int c = 0; c < NSL_TRAIN_CUTS; c++) {
    nsl_json *j = nsl_json_object();
    nsl_json_set_i64(j, "n", (int64_t)best[c].n);
    for (int m = 0; m < NSL_N_METRICS && best[c].n > 0; m++) {
      nsl_json_set_f64(j, nsl_metric_key((nsl_metric)m), best[c].value[m]);
    }
    nsl_json_set(all, cut_names[c], j);
  }
  return all;
}

char *nsl_train_card(const nsl_train_options *o, const nsl_train_data *d, const nsl_train_state *s,
                     const nsl_metrics best[NSL_TRAIN_CUTS], const char *data_hash, double seconds)
{
  char now[32];
  nsl_clock_utc(now);
  nsl_json *j = nsl_json_object();
  nsl_json_set_text(j, "made_by", nsl_made_by_text());
  nsl_made_by_json(j);
  nsl_json_set_text(j, "made_at", now);
  nsl_json_set_f64(j, "training_s", seconds);
  nsl_json_set_text(j, "data_hash", data_hash);
  nsl_json_set_i64(j, "n_stamps", nsl_train_data_used(d));
  nsl_json_set_i64(j, "n_left_out", d->n_total - nsl_train_data_used(d));
  nsl_json_set_i64(j, "stamps_seen", s->step * d->group * d->n_groups);
  nsl_json_set_i64(j, "best_step", s->best_step);
  nsl_json_set(j, "settings", settings(o));
  nsl_json_set(j, "validation", metrics(best));
  nsl_json_set(j, "history", history(s));
  char *text = nsl_json_text(j);
  nsl_json_free(j);
  return text;
}
