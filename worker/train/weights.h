/* A model's weights and an optimizer's state in safetensors files, and their digest. */
#ifndef WORKER_TRAIN_WEIGHTS_H
#define WORKER_TRAIN_WEIGHTS_H

#include <stdint.h>
#include <syncline/nn.h>
#include <syncline/optim.h>

/* Writes parameters and buffers under their names (nothing more: other programs load them as a
 * state dict). */
syn_status syn_weights_save(syn_module *module, const char *path);
/* Overwrites parameters and buffers. FAILED_PRECONDITION with one sentence if the file is of
 * another model: a name that is missing or too much, or another shape or dtype. Nothing is changed
 * then. */
syn_status syn_weights_load(syn_module *module, const char *path);

/* The optimizer's state tensors and its step counter. */
syn_status syn_optimizer_save(syn_optimizer *optimizer, const char *path);
syn_status syn_optimizer_load(syn_optimizer *optimizer, const char *path);

/* SHA-256 in hexadecimal of all parameters' elements, row-major and little-endian, in the byte
 * order of their names. */
syn_status syn_weights_sha256(syn_module *module, char hex_out[65]);

#endif
