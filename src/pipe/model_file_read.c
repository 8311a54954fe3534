/* Reads model files. Nothing in the file is trusted: what it says is checked against the network it describes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "pipe/band_attributes.h"
#include "pipe/model_file_layout.h"

#define TEXT_MAX ((size_t)64 << 20)

static nsl_status read_text(nsl_h5 *f, const char *path, char **text, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank = 0;
  size_t dims[NSL_H5_MAX_RANK];
  char *t = NULL;
  NSL_TRY(nsl_h5_dims(f, path, &rank, dims, err));
  if (rank != 1 || dims[0] > TEXT_MAX) { NSL_THROW(err, NSL_E_FORMAT, "%s is not a text", path); }
  t = calloc(dims[0] + 1, 1);
  if (!t) { NSL_THROW(err, NSL_E_NOMEM, "%s of %zu bytes", path, dims[0]); }
  NSL_TRY(nsl_h5_read(f, path, NSL_H5_U8, dims[0], t, err));
  *text = t;
  t = NULL;
cleanup:
  free(t);
  return st;
}

static nsl_status read_word(nsl_h5 *f, const char *key, const char *const words[2], int *which, nsl_error *err)
{
  char *word = NULL;
  nsl_status st = nsl_h5_get_text(f, "/", key, &word, err);
  if (st != NSL_OK) { return st; }
  *which = strcmp(word, words[0]) == 0 ? 0 : strcmp(word, words[1]) == 0 ? 1 : -1;
  if (*which < 0) { st = nsl_fail(err, NSL_E_FORMAT, "%s '%s' is neither %s nor %s", key, word, words[0], words[1]); }
  free(word);
  return st;
}

static nsl_status read_attributes(nsl_h5 *f, nsl_model *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *format = NULL;
  int64_t version = 0, pdf_n = 0;
  int head = 0, input = 0;
  if (nsl_h5_get_text(f, "/", "format", &format, NULL) != NSL_OK || strcmp(format, NSL_MODEL_FORMAT) != 0) {
    NSL_THROW(err, NSL_E_FORMAT, "not a model file: `noslit train` makes them");
  }
  NSL_TRY(nsl_h5_get_i64(f, "/", "version", &version, err));
  if (version < 1 || version > NSL_MODEL_VERSION) {
    NSL_THROW(err, NSL_E_FORMAT, "version %lld, this program reads versions 1 to %d: use the noslit that made it, or train again",
              (long long)version, NSL_MODEL_VERSION);
  }
  NSL_TRY(read_word(f, "head", nsl_head_words, &head, err));
  NSL_TRY(read_word(f, "input", nsl_input_words, &input, err));
  m->head = (nsl_head)head;
  m->input = (nsl_input_kind)input;
  NSL_TRY(nsl_h5_get_f64(f, "/", "flux_scale0", &m->flux_scale[0], err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "flux_scale1", &m->flux_scale[1], err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "contamination_k", &m->contamination_k, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "pdf_n", &pdf_n, err));
  m->grid.n = pdf_n > 0 && pdf_n < INT_MAX ? (int)pdf_n : 0;
  NSL_TRY(nsl_h5_get_f64(f, "/", "pdf_u0", &m->grid.u0, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "pdf_du", &m->grid.du, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "temperature", &m->temperature, err));
  NSL_TRY(nsl_bands_get(f, m->band, err));
cleanup:
  free(format);
  return st;
}

static void dims_text(char *out, size_t size, int rank, const size_t *dims)
{
  size_t used = 0;
  out[0] = '\0';
  for (int k = 0; k < rank && used < size; k++) { used += (size_t)snprintf(out + used, size - used, "[%zu]", dims[k]); }
}

static nsl_status read_tensor(nsl_h5 *f, nsl_param *p, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char path[96];
  int rank = 0;
  size_t found[NSL_H5_MAX_RANK], wanted[4] = {0};
  snprintf(path, sizeof path, "/weights/%s", p->name);
  if (!nsl_h5_exists(f, path)) { NSL_THROW(err, NSL_E_FORMAT, "tensor %s is missing", p->name); }
  NSL_TRY(nsl_h5_dims(f, path, &rank, found, err));
  int same = rank == p->rank;
  for (int k = 0; k < p->rank; k++) {
    wanted[k] = (size_t)p->dims[k];
    same = same && found[k] == wanted[k];
  }
  if (!same) {
    char a[96], b[96];
    dims_text(a, sizeof a, rank, found);
    dims_text(b, sizeof b, p->rank, wanted);
    NSL_THROW(err, NSL_E_MISMATCH, "tensor %s is %s, the network's is %s", p->name, a, b);
  }
  NSL_TRY(nsl_h5_read(f, path, NSL_H5_F32, p->n, p->value, err));
cleanup:
  return st;
}

nsl_status nsl_model_read_weights(nsl_h5 *f, nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char **names = NULL;
  size_t n = 0;
  for (int i = 0; i < nsl_net_n_params(net); i++) { NSL_TRY(read_tensor(f, nsl_net_param(net, i), err)); }
  NSL_TRY(nsl_h5_list(f, "/weights", &names, &n, err));
  for (size_t i = 0; i < n; i++) {
    if (!nsl_net_find_param(net, names[i])) { NSL_THROW(err, NSL_E_MISMATCH, "tensor %s is not one of the network's", names[i]); }
  }
  nsl_net_weights_changed(net);
cleanup:
  for (size_t i = 0; names && i < n; i++) { free(names[i]); }
  free(names);
  return st;
}

static nsl_status read_calibration(nsl_h5 *f, nsl_calibration *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char path[64];
  *c = (nsl_calibration){.fitted = nsl_h5_exists(f, "/calibration")};
  for (int k = 0; k < NSL_CALIBRATION_PARTS && c->fitted; k++) {
    const nsl_calibration_part *p = &nsl_calibration_parts[k];
    snprintf(path, sizeof path, "/calibration/%s", p->name);
    NSL_TRY(nsl_h5_read(f, path, NSL_H5_F64, p->n, (char *)c + p->offset, err));
  }
cleanup:
  return st;
}

static nsl_status check_seal(nsl_h5 *f, const nsl_model *m, nsl_error *err)
{
  char *hex = NULL;
  nsl_hash hash;
  nsl_status st = nsl_h5_get_text(f, "/", "content_hash", &hex, err);
  if (st == NSL_OK && (!nsl_hash_from_hex(hex, &hash) || !nsl_hash_equal(hash, m->hash))) {
    st = nsl_fail(err, NSL_E_CORRUPT, "content hash does not match: the file was damaged or edited; get it again");
  }
  free(hex);
  return st;
}

static nsl_status read_model(const char *path, int max_batch, int trainable, int sealed, nsl_model *model, nsl_net **net,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_model m = {0};
  nsl_net *n = NULL;
  char *graph = NULL;
  nsl_graph_init(&m.graph);
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(read_attributes(f, &m, err));
  NSL_TRY(read_calibration(f, &m.calibration, err));
  NSL_TRY(read_text(f, "/graph", &graph, err));
  NSL_TRY(read_text(f, "/card", &m.card, err));
  NSL_TRY(nsl_graph_from_text(graph, "graph", &m.graph, err));
  NSL_TRY(nsl_model_check(&m, err));
  NSL_TRY(nsl_net_new(&m.graph, max_batch, trainable, 0, &n, err));
  NSL_TRY(nsl_model_read_weights(f, n, err));
  NSL_TRY(nsl_model_content_hash(&m, n, &m.hash, err));
  if (sealed) { NSL_TRY(check_seal(f, &m, err)); }
  *model = m;
  *net = n;
  m = (nsl_model){0};
  n = NULL;
cleanup:
  nsl_h5_close(f, NULL);
  nsl_net_free(n);
  nsl_model_free(&m);
  free(graph);
  return st == NSL_OK ? st : nsl_error_context(err, st, "model file %s", path);
}

nsl_status nsl_model_read(const char *path, int max_batch, int trainable, nsl_model *model, nsl_net **net, nsl_error *err)
{
  return read_model(path, max_batch, trainable, 1, model, net, err);
}

nsl_status nsl_model_read_unsealed(const char *path, nsl_model *model, nsl_net **net, nsl_error *err)
{
  return read_model(path, 1, 0, 0, model, net, err);
}
