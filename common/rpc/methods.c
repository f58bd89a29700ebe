/* The method table of the product's services. */
#include "common/rpc/methods.h"

#include "syncline/v1/cluster.pb-c.h"
#include "syncline/v1/jobs.pb-c.h"
#include "syncline/v1/workers.pb-c.h"

#define DEFINE(symbol, service_name, method_name, request_type, response_type, client, server) \
    const syn_rpc_method syn_rpc_##symbol = {                                                  \
        .service = "syncline.v1." service_name,                                                \
        .name = method_name,                                                                   \
        .request = &syncline__v1__##request_type##__descriptor,                                \
        .response = &syncline__v1__##response_type##__descriptor,                              \
        .client_streaming = client,                                                            \
        .server_streaming = server,                                                            \
    };
SYN_RPC_METHOD_LIST(DEFINE)
