/* A network as a list of layers in JSON, run over the public expressions. */
#ifndef TESTS_CONFORMANCE_NET_H
#define TESTS_CONFORMANCE_NET_H

#include <jansson.h>
#include <syncline/syncline.h>

/* Borrowed: the layers and the module whose parameters and buffers have the layers' names
 * ("fc1.weight"). */
typedef struct layer_net {
    json_t *layers;
    syn_module *module;
} layer_net;

/* The name of the first layer that cannot be run, NULL if all can. */
const char *net_find_unknown(const json_t *layers);
bool net_has_layer(const json_t *layers, const char *op);
/* Runs the layers in order. Scope-owned, NULL with the sticky error set. */
syn_tensor *net_forward(const layer_net *net, syn_tensor *x);

#endif
