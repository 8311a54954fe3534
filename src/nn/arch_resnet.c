/* The paper's network (arXiv:2605.16762; facts A1.6): ResNet-34 of He et al. 2016 for two-channel spectra. Convolutions without
 * bias, batch norm after each, stages of 3, 4, 6, 3 basic blocks with widths 1, 2, 4, 8 times base_width, global average pooling,
 * then 8w -> 4w -> 2w with GELU and dropout, and {mean, logvar}. */
#include "builder.h"
#include "noslit/nn/architectures.h"

static int conv_bn(nsl_builder *b, const char *name, int in, int c_out, int k, int stride)
{
  char part[NSL_NODE_NAME_MAX];
  nsl_node conv = {.op = NSL_OP_CONV,
                   .n_in = 1,
                   .in = {in},
                   .c_out = c_out,
                   .kh = k,
                   .kw = k,
                   .stride_h = stride,
                   .stride_w = stride,
                   .pad_h = k / 2,
                   .pad_w = k / 2};
  int x = nsl_build(b, name, conv);
  return nsl_build1(b, nsl_build_name(b, part, "%s_bn", name), NSL_OP_BATCHNORM, x);
}

static int relu_of(nsl_builder *b, const char *name, int in)
{
  char part[NSL_NODE_NAME_MAX];
  return nsl_build1(b, nsl_build_name(b, part, "%s_relu", name), NSL_OP_RELU, in);
}

static int basic_block(nsl_builder *b, int stage, int index, int in, int c_in, int c_out, int stride)
{
  char name[4][NSL_NODE_NAME_MAX];
  static const char *const parts[] = {"conv1", "conv2", "short", "add"};
  for (int k = 0; k < 4; k++) { nsl_build_name(b, name[k], "s%d_b%d_%s", stage, index, parts[k]); }
  int x = relu_of(b, name[0], conv_bn(b, name[0], in, c_out, 3, stride));
  x = conv_bn(b, name[1], x, c_out, 3, 1);
  int shortcut = stride == 1 && c_in == c_out ? in : conv_bn(b, name[2], in, c_out, 1, stride);
  return relu_of(b, name[3], nsl_build_add(b, name[3], x, shortcut));
}

static int dense_block(nsl_builder *b, int index, int in, int c_out, double dropout)
{
  char name[3][NSL_NODE_NAME_MAX];
  static const char *const parts[] = {"", "_gelu", "_drop"};
  for (int k = 0; k < 3; k++) { nsl_build_name(b, name[k], "fc%d%s", index, parts[k]); }
  int x = nsl_build1(b, name[1], NSL_OP_GELU, nsl_build_dense(b, name[0], in, c_out));
  return nsl_build(b, name[2], (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {x}, .rate = (float)dropout});
}

nsl_status nsl_graph_resnet34(int ny, int nx, int base_width, double dropout, nsl_graph *out, nsl_error *err)
{
  static const int blocks[] = {3, 4, 6, 3};
  nsl_builder b = {.err = err};
  int x = relu_of(&b, "stem", conv_bn(&b, "stem", nsl_build_input(&b, "x", 2, ny, nx), base_width, 7, 2));
  nsl_node pool = {
      .op = NSL_OP_MAXPOOL, .n_in = 1, .in = {x}, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  x = nsl_build(&b, "pool", pool);
  int width = base_width;
  for (int stage = 1; stage <= 4; stage++) {
    int c_out = base_width << (stage - 1);
    for (int i = 1; i <= blocks[stage - 1]; i++, width = c_out) {
      x = basic_block(&b, stage, i, x, width, c_out, stage > 1 && i == 1 ? 2 : 1);
    }
  }
  x = nsl_build1(&b, "gap", NSL_OP_GAP, x);
  x = dense_block(&b, 1, x, 4 * base_width, dropout);
  x = dense_block(&b, 2, x, 2 * base_width, dropout);
  nsl_build_dense(&b, "out", x, 2);
  return nsl_build_end(&b, out);
}
