/* Everything a program that trains with Syncline includes. */
#ifndef SYNCLINE_SYNCLINE_H
#define SYNCLINE_SYNCLINE_H

#include <syncline/autograd.h>
#include <syncline/dtype.h>
#include <syncline/nn.h>
#include <syncline/op.h>
#include <syncline/ops.h>
#include <syncline/optim.h>
#include <syncline/parallel.h>
#include <syncline/random.h>
#include <syncline/status.h>
#include <syncline/tensor.h>

#endif
