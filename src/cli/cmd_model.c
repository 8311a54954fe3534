/* noslit model: what a model file holds. */
#include <stdio.h>
#include <string.h>

#include "command.h"
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
  printf("PDF           %d bins of %.6g in ln(1+z), z = %.4f to %.4f; temperature %.4f\n", m->grid.n, m->grid.du,
         nsl_pdf_edge_z(&m->grid, 0), nsl_pdf_edge_z(&m->grid, m->grid.n), m->temperature);
  printf("size          %zu weights, %.3g multiply-adds a stamp\nlayers\n", weights, nsl_graph_macs(&m->graph));
  for (int i = 0; i < m->graph.n; i++) {
    const nsl_node *node = &m->graph.nodes[i];
    printf("  %-32s [%d][%d][%d]%s\n", node->name, node->out.c, node->out.h, node->out.w,
           nsl_graph_is_stochastic(&m->graph, i) ? "  (after dropout)" : "");
  }
  printf("parameters\n");
  for (int i = 0; i < nsl_net_n_params(net); i++) { print_shape(nsl_net_param(net, i)); }
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_model model = {0};
  nsl_net *net = NULL;
  const char *words[2] = {NULL, NULL};
  int n = 0;
  nsl_graph_init(&model.graph);
  NSL_TRY(nsl_cli_parse(cli, NULL, 0, NULL, words, 2, &n, &err));
  if (n != 2) { NSL_THROW(&err, NSL_E_USAGE, "say what to do with which file: noslit model info FILE, noslit model card FILE"); }
  int info = strcmp(words[0], "info") == 0;
  if (!info && strcmp(words[0], "card") != 0) { NSL_THROW(&err, NSL_E_USAGE, "'%s' is neither info nor card", words[0]); }
  NSL_TRY(nsl_model_read(words[1], 1, 0, &model, &net, &err));
  if (info) {
    print_info(words[1], &model, net);
  } else {
    puts(model.card);
  }
cleanup:
  nsl_net_free(net);
  nsl_model_free(&model);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_model = {
    "model",
    "info|card FILE",
    "what a model file holds: layers, grids, provenance",
    0,
    run,
    "  info FILE   layers, parameters, normalisation, grids, hash\n"
    "  card FILE   training settings, provenance, validation metrics and history as JSON\n",
};
