/* The text form of a graph: one node a line, `<op> name=<name> [in=<name>,...] [<field>=<number> ...] [const=<values>]`.
 * Fields at zero are left out. In a list of values `v*n` stands for n times v. Lines that begin with # are comments. */
#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/nn/graph.h"
#include "op.h"

typedef struct {
  const char *word;
  size_t offset;
} field;

#define INT_FIELD(word, member)      \
  {                                  \
    word, offsetof(nsl_node, member) \
  }
static const field int_fields[] = {
    INT_FIELD("c", out.c),       INT_FIELD("h", out.h),         INT_FIELD("w", out.w),           INT_FIELD("c_out", c_out),
    INT_FIELD("kh", kh),         INT_FIELD("kw", kw),           INT_FIELD("stride_h", stride_h), INT_FIELD("stride_w", stride_w),
    INT_FIELD("pad_h", pad_h),   INT_FIELD("pad_w", pad_w),     INT_FIELD("dil_h", dil_h),       INT_FIELD("dil_w", dil_w),
    INT_FIELD("bias", has_bias), INT_FIELD("channel", channel), INT_FIELD("first", first),       INT_FIELD("n_out", n_out),
};
static const field float_fields[] = {INT_FIELD("rate", rate), INT_FIELD("scale", scale), INT_FIELD("eps", eps)};
enum { N_INT = sizeof int_fields / sizeof *int_fields, N_FLOAT = sizeof float_fields / sizeof *float_fields };

static int *int_at(nsl_node *node, int i) { return (int *)(void *)((char *)node + int_fields[i].offset); }
static float *float_at(nsl_node *node, int i) { return (float *)(void *)((char *)node + float_fields[i].offset); }

static void add_constant(nsl_str *s, const float *v, int n)
{
  for (int i = 0; i < n;) {
    int run = 1;
    while (i + run < n && memcmp(&v[i + run], &v[i], sizeof *v) == 0) { run++; }
    nsl_str_addf(s, "%s%.9g", i ? "," : " const=", (double)v[i]);
    if (run > 1) { nsl_str_addf(s, "*%d", run); }
    i += run;
  }
}

char *nsl_graph_to_text(const nsl_graph *g)
{
  nsl_str s;
  nsl_str_init(&s);
  for (int i = 0; i < g->n; i++) {
    nsl_node node = g->nodes[i];
    nsl_str_addf(&s, "%s name=%s", nsl_op_impl_of(node.op)->word, node.name);
    for (int k = 0; k < node.n_in; k++) { nsl_str_addf(&s, "%s%s", k ? "," : " in=", g->nodes[node.in[k]].name); }
    for (int f = 0; f < N_INT; f++) {
      if (*int_at(&node, f)) { nsl_str_addf(&s, " %s=%d", int_fields[f].word, *int_at(&node, f)); }
    }
    for (int f = 0; f < N_FLOAT; f++) {
      if (*float_at(&node, f) != 0.0f) { nsl_str_addf(&s, " %s=%.9g", float_fields[f].word, (double)*float_at(&node, f)); }
    }
    add_constant(&s, node.constant, node.n_const);
    nsl_str_add(&s, "\n");
  }
  char *text = s.failed ? NULL : nsl_strdup(s.text);
  nsl_str_free(&s);
  return text;
}

/* Number of values in "a,b*n,c", or -1 where that is not what it is; out may be NULL. */
static int parse_constant(char *list, float *out)
{
  int n = 0;
  char *save = NULL;
  for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
    char *star = strchr(item, '*');
    int64_t run = 1;
    double v;
    if (star) {
      *star = '\0';
      if (!nsl_parse_i64(star + 1, &run) || run < 1 || run > (1 << 24)) { return -1; }
    }
    if (!nsl_parse_f64(item, &v)) { return -1; }
    for (int64_t k = 0; k < run && out; k++) { out[n + k] = (float)v; }
    n += (int)run;
    if (n > (1 << 24)) { return -1; }
  }
  return n;
}

static nsl_status read_constant(nsl_node *node, const char *value, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *copy = nsl_strdup(value), *again = nsl_strdup(value);
  if (!copy || !again) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  node->n_const = parse_constant(copy, NULL);
  if (node->n_const < 1) { NSL_THROW(err, NSL_E_FORMAT, "const is not a list of numbers"); }
  node->constant = malloc((size_t)node->n_const * sizeof(float));
  if (!node->constant) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  parse_constant(again, node->constant);
cleanup:
  free(copy);
  free(again);
  return st;
}

static nsl_status read_inputs(nsl_node *node, const nsl_graph *g, char *value, nsl_error *err)
{
  char *save = NULL;
  for (char *name = strtok_r(value, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
    int from = nsl_graph_find(g, name);
    if (from < 0) { return nsl_fail(err, NSL_E_FORMAT, "input '%s' is not an earlier node", name); }
    if (node->n_in == NSL_NODE_INPUTS_MAX) { return nsl_fail(err, NSL_E_FORMAT, "more than %d inputs", NSL_NODE_INPUTS_MAX); }
    node->in[node->n_in++] = from;
  }
  return NSL_OK;
}

static nsl_status read_field(nsl_node *node, const nsl_graph *g, const char *word, char *value, nsl_error *err)
{
  if (strcmp(word, "name") == 0) {
    if (strlen(value) >= NSL_NODE_NAME_MAX) { return nsl_fail(err, NSL_E_FORMAT, "the name '%s' is too long", value); }
    memcpy(node->name, value, strlen(value) + 1);
    return NSL_OK;
  }
  if (strcmp(word, "in") == 0) { return read_inputs(node, g, value, err); }
  if (strcmp(word, "const") == 0) {
    if (node->constant) { return nsl_fail(err, NSL_E_FORMAT, "const is given twice"); }
    return read_constant(node, value, err);
  }
  for (int f = 0; f < N_INT; f++) {
    int64_t v;
    if (strcmp(word, int_fields[f].word) != 0) { continue; }
    if (!nsl_parse_i64(value, &v) || v < -(1 << 28) || v > (1 << 28)) {
      return nsl_fail(err, NSL_E_FORMAT, "%s=%s is not a whole number in range", word, value);
    }
    *int_at(node, f) = (int)v;
    return NSL_OK;
  }
  for (int f = 0; f < N_FLOAT; f++) {
    double v;
    if (strcmp(word, float_fields[f].word) != 0) { continue; }
    if (!nsl_parse_f64(value, &v)) { return nsl_fail(err, NSL_E_FORMAT, "%s=%s is not a number", word, value); }
    *float_at(node, f) = (float)v;
    return NSL_OK;
  }
  return nsl_fail(err, NSL_E_FORMAT, "unknown field '%s'", word);
}

static nsl_status read_node(char *line, nsl_graph *g, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_node node = {0};
  char *save = NULL, *word = strtok_r(line, " \t", &save);
  int op = 0;
  while (op < NSL_OP_COUNT && strcmp(word, nsl_op_impl_of((nsl_op)op)->word) != 0) { op++; }
  if (op == NSL_OP_COUNT) { NSL_THROW(err, NSL_E_FORMAT, "unknown op '%s'", word); }
  node.op = (nsl_op)op;
  for (word = strtok_r(NULL, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
    char *equals = strchr(word, '=');
    if (!equals) { NSL_THROW(err, NSL_E_FORMAT, "'%s' is not <field>=<value>", word); }
    *equals = '\0';
    NSL_TRY(read_field(&node, g, word, equals + 1, err));
  }
  nsl_shape3 stated = node.out;
  int index;
  NSL_TRY(nsl_graph_add(g, &node, &index, err));
  nsl_shape3 out = g->nodes[index].out;
  if (out.c != stated.c || out.h != stated.h || out.w != stated.w) {
    NSL_THROW(err, NSL_E_FORMAT, "node '%s': the stated shape %dx%dx%d is not the shape %dx%dx%d that follows from its inputs",
              node.name, stated.c, stated.h, stated.w, out.c, out.h, out.w);
  }
cleanup:
  free(node.constant);
  return st;
}

nsl_status nsl_graph_from_text(const char *text, const char *name, nsl_graph *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_graph g;
  nsl_graph_init(&g);
  char *copy = nsl_strdup(text);
  if (!copy) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", name); }
  char *save = NULL;
  int number = 0;
  /* Empty lines are dropped by strtok_r, so that the number counts lines with text. */
  for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    number++;
    while (isspace((unsigned char)*line)) { line++; }
    if (*line == '#' || *line == '\0') { continue; }
    st = read_node(line, &g, err);
    if (st != NSL_OK) {
      nsl_error_context(err, st, "%s: graph, line %d", name, number);
      goto cleanup;
    }
  }
  if (g.n == 0) { NSL_THROW(err, NSL_E_FORMAT, "%s: the graph has no nodes", name); }
  *out = g;
  nsl_graph_init(&g);
cleanup:
  nsl_graph_free(&g);
  free(copy);
  return st;
}
