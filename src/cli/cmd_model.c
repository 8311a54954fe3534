/* noslit model: what a model file holds; other verbs are in model_*.c. */
#include <stdio.h>
#include <string.h>

#include "model_verbs.h"
#include "noslit/pipe/model_file.h"

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

static nsl_status show_verb(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  (void)cli, (void)a;
  return show("info", file, err);
}

static nsl_status card_verb(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  (void)cli, (void)a;
  return show("card", file, err);
}

static const struct {
  const char *name;
  nsl_status (*run)(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);
} verbs[] = {{"info", show_verb},
             {"card", card_verb},
             {"calibrate", nsl_model_verb_calibrate},
             {"renorm", nsl_model_verb_renorm},
             {"layers", nsl_model_verb_layers},
             {"import", nsl_model_verb_import},
             {"export", nsl_model_verb_export}};
#define N_VERBS (sizeof verbs / sizeof *verbs)
#define VERBS "info|card|calibrate|renorm|layers|import|export"

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  const char *words[2] = {NULL, NULL};
  nsl_model_arguments a = {0};
  const nsl_option options[] = {{"--stamps", &a.stamps, NULL},         {"--out", &a.out, NULL},    {"--samples", &a.samples, NULL},
                                {"--instrument", &a.instrument, NULL}, {"--map", &a.map, NULL},    {"--bins", &a.bins, NULL},
                                {"--batch", &a.batch, NULL},           {"--count", &a.count, NULL}};
  int n = 0;
  size_t k = 0;
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, NULL, words, 2, &n, &err));
  if (n != 2) { NSL_THROW(&err, NSL_E_USAGE, "say what to do with which file: noslit model " VERBS " FILE"); }
  while (k < N_VERBS && strcmp(words[0], verbs[k].name) != 0) { k++; }
  if (k == N_VERBS) { NSL_THROW(&err, NSL_E_USAGE, "'%s' is none of " VERBS, words[0]); }
  st = verbs[k].run(cli, words[1], &a, &err);
cleanup:
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_model = {
    "model",
    VERBS " FILE",
    "a model file: layers, provenance, calibration, exchange with PyTorch",
    0,
    run,
    "  info FILE        layers, parameters, normalisation, grids, hash\n"
    "  card FILE        training settings, provenance, validation metrics and history as JSON\n"
    "  calibrate FILE   fits temperature, PIT map, p_good and the limit of what is unusual\n"
    "    --stamps PATTERN   stamp files that the model was neither trained nor chosen on\n"
    "    --out FILE         the calibrated model (default: FILE itself)\n"
    "    --samples N        dropout samples (64)\n"
    "  renorm FILE      measures the statistics of batch normalisation anew on --stamps (no truth needed); calibrate afterwards\n"
    "    --out FILE, --batch N (64)\n"
    "  import SRC       weights of PyTorch's ResNet-34 (.pt, .pth, .safetensors, .npz), or what `export` wrote, as a model file\n"
    "    --out FILE         the model file; --instrument FILE: whose wavelengths the weights belong to\n"
    "    --map FILE         lines 'name-in-SRC noslit-name' ('-' leaves out) for other names; --bins N of the PDF (1280)\n"
    "  export FILE      weights under state-dict names: --out FILE.npz or FILE.safetensors\n"
    "  layers FILE      the output of every layer for the first --count (4) of --stamps, dropout off: --out FILE.h5\n",
};
