#include "builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *nsl_build_name(nsl_builder *b, char buffer[NSL_NODE_NAME_MAX], const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(buffer, NSL_NODE_NAME_MAX, fmt, ap);
  va_end(ap);
  if ((n < 0 || n >= NSL_NODE_NAME_MAX) && b->status == NSL_OK) {
    b->status = nsl_fail(b->err, NSL_E_VALUE, "node '%s...': the name is longer than %d characters", buffer, NSL_NODE_NAME_MAX - 1);
  }
  return buffer;
}

int nsl_build(nsl_builder *b, const char *name, nsl_node node)
{
  int index = -1;
  nsl_build_name(b, node.name, "%s", name);
  if (b->status != NSL_OK) { return -1; }
  b->status = nsl_graph_add(&b->graph, &node, &index, b->err);
  return index;
}

int nsl_build1(nsl_builder *b, const char *name, nsl_op op, int in)
{
  return nsl_build(b, name, (nsl_node){.op = op, .n_in = 1, .in = {in}});
}

int nsl_build_input(nsl_builder *b, const char *name, int c, int h, int w)
{
  return nsl_build(b, name, (nsl_node){.op = NSL_OP_INPUT, .out = {c, h, w}});
}

int nsl_build_dense(nsl_builder *b, const char *name, int in, int c_out)
{
  return nsl_build(b, name, (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {in}, .c_out = c_out, .has_bias = 1});
}

int nsl_build_conv1d(nsl_builder *b, const char *name, int in, int c_out, int k, int stride, int dilation)
{
  nsl_node node = {.op = NSL_OP_CONV,
                   .n_in = 1,
                   .in = {in},
                   .c_out = c_out,
                   .kh = 1,
                   .kw = k,
                   .stride_w = stride,
                   .dil_w = dilation,
                   .pad_w = dilation * (k / 2),
                   .has_bias = 1};
  return nsl_build(b, name, node);
}

int nsl_build_add(nsl_builder *b, const char *name, int x, int y)
{
  return nsl_build(b, name, (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {x, y}});
}

int nsl_build_concat(nsl_builder *b, const char *name, int n, const int *in)
{
  nsl_node node = {.op = NSL_OP_CONCAT, .n_in = n};
  memcpy(node.in, in, (size_t)n * sizeof *in);
  return nsl_build(b, name, node);
}

int nsl_build_residual1d(nsl_builder *b, const char *name, int in, int channels, int k, int dilation)
{
  char part[NSL_NODE_NAME_MAX];
  int x = in;
  for (int i = 1; i <= 2; i++) {
    x = nsl_build1(b, nsl_build_name(b, part, "%s_bn%d", name, i), NSL_OP_BATCHNORM, x);
    x = nsl_build1(b, nsl_build_name(b, part, "%s_gelu%d", name, i), NSL_OP_GELU, x);
    x = nsl_build_conv1d(b, nsl_build_name(b, part, "%s_conv%d", name, i), x, channels, k, 1, dilation);
  }
  return nsl_build_add(b, nsl_build_name(b, part, "%s_add", name), in, x);
}

nsl_status nsl_build_end(nsl_builder *b, nsl_graph *out)
{
  if (b->status != NSL_OK) {
    nsl_graph_free(&b->graph);
    return b->status;
  }
  *out = b->graph;
  nsl_graph_init(&b->graph);
  return NSL_OK;
}
