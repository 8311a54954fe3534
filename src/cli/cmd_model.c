/* noslit model: what a model file holds, and its calibration. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/calibrate.h"

#define SAMPLES 64

static void print_shape(const nsl_param *p)
{
  printf("  %-32s ", p->name);
  for (int k = 0; k < p->rank; k++) { printf("[%d]", p->dims[k]); }
  printf("%s\n", p->is_state ? "  (state)" : "");
}

static void print_info(const char *path, const nsl_model *m, nsl_net *net)
{
  char hex[NSL_HASH_HEX];
  size_t weights = 0;
  nsl_hash_to_hex(m->hash, hex);
  for (int i = 0; i < nsl_net_n_params(net); i++) { weights += nsl_net_param(net, i)->is_state ? 0 : nsl_net_param(net, i)->n; }
  printf("file          %s\nhash          %s\nhead          %s\ninput         %s, %.6g and %.6g electrons a unit, contamination_k "
         "%g\n",
         path, hex, m->head == NSL_HEAD_BINS ? "PDF bins" : "Gaussian in z",
         m->input == NSL_INPUT_WEIGHTED ? "weighted" : "electrons", m->flux_scale[0], m->flux_scale[1], m->contamination_k);
  for (int b = 0; b < 2; b++) {
    printf("band %d        %s, lambda = %.9g + %.9g i Angstrom\n", b, m->band[b].name, m->band[b].lambda0_a, m->band[b].dlambda_a);
  }
  printf("PDF           %d bins of %.6g in ln(1+z), z = %.4f to %.4f; temperature %.4f; %s\n", m->grid.n, m->grid.du,
         nsl_pdf_edge_z(&m->grid, 0), nsl_pdf_edge_z(&m->grid, m->grid.n), m->temperature,
         m->calibration.fitted ? "calibrated" : "not calibrated");
  printf("size          %zu weights, %.3g multiply-adds a stamp\nlayers\n", weights, nsl_graph_macs(&m->graph));
  for (int i = 0; i < m->graph.n; i++) {
    const nsl_node *node = &m->graph.nodes[i];
    printf("  %-32s [%d][%d][%d]%s\n", node->name, node->out.c, node->out.h, node->out.w,
           nsl_graph_is_stochastic(&m->graph, i) ? "  (after dropout)" : "");
  }
  printf("parameters\n");
  for (int i = 0; i < nsl_net_n_params(net); i++) { print_shape(nsl_net_param(net, i)); }
}

static nsl_status show(const char *verb, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_model model = {0};
  nsl_net *net = NULL;
  nsl_graph_init(&model.graph);
  NSL_TRY(nsl_model_read(path, 1, 0, &model, &net, err));
  if (strcmp(verb, "info") == 0) {
    print_info(path, &model, net);
  } else {
    puts(model.card);
  }
cleanup:
  nsl_net_free(net);
  nsl_model_free(&model);
  return st;
}

static nsl_status calibrate(const nsl_cli *cli, const char *model, const char *stamps, const char *out, const char *samples,
                            nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_calibrate_job job = {.model = model, .out = out ? out : model, .samples = SAMPLES, .seed = 1};
  nsl_calibrate_summary summary;
  char **paths = NULL;
  size_t n_paths = 0;
  double n = SAMPLES;
  if (!stamps) { NSL_THROW(err, NSL_E_USAGE, "noslit model calibrate FILE --stamps PATTERN: no stamps given"); }
  if (samples && (!nsl_parse_f64(samples, &n) || n < 1 || n > 4096)) {
    NSL_THROW(err, NSL_E_USAGE, "--samples %s: give a number from 1 to 4096", samples);
  }
  job.samples = (int)n;
  NSL_TRY(nsl_glob_all(&stamps, 1, &paths, &n_paths, err));
  job.stamps = (const char *const *)paths;
  job.n_stamps = n_paths;
  NSL_TRY(nsl_blas_start(err));
  NSL_TRY(nsl_model_calibrate(&job, &cli->log, &summary, err));
cleanup:
  nsl_paths_free(paths, n_paths);
  return st;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  const char *words[2] = {NULL, NULL}, *stamps = NULL, *out = NULL, *samples = NULL;
  const nsl_option options[] = {{"--stamps", &stamps, NULL}, {"--out", &out, NULL}, {"--samples", &samples, NULL}};
  int n = 0;
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, NULL, words, 2, &n, &err));
  if (n != 2) { NSL_THROW(&err, NSL_E_USAGE, "say what to do with which file: noslit model info|card|calibrate FILE"); }
  if (strcmp(words[0], "calibrate") == 0) {
    st = calibrate(cli, words[1], stamps, out, samples, &err);
  } else if (strcmp(words[0], "info") == 0 || strcmp(words[0], "card") == 0) {
    st = show(words[0], words[1], &err);
  } else {
    st = nsl_fail(&err, NSL_E_USAGE, "'%s' is neither info nor card nor calibrate", words[0]);
  }
cleanup:
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_model = {
    "model",
    "info|card|calibrate FILE",
    "what a model file holds: layers, grids, provenance",
    0,
    run,
    "  info FILE        layers, parameters, normalisation, grids, hash\n"
    "  card FILE        training settings, provenance, validation metrics and history as JSON\n"
    "  calibrate FILE   fits temperature, PIT map, p_good and the limit of what is unusual\n"
    "    --stamps PATTERN   stamp files that the model was neither trained nor chosen on\n"
    "    --out FILE         the calibrated model (default: FILE itself)\n"
    "    --samples N        dropout samples (64)\n",
};
