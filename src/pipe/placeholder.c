/* Replaced as the layer is built. */ typedef int nsl_layer_placeholder;
