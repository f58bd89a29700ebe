/* An embedder's program in which one rank's forward fails: every rank prints its sentence and ends,
 * none hangs. */
#include "worker/comm/comm.h"

#include <syncline/syncline.h>

int main(int argc, char **argv)
{
    if (syn_init_mpi(&argc, &argv) != SYN_OK)
        return 1;
    syn_module *net = syn_sequential(syn_linear(2, 5), syn_relu_module(), syn_linear(5, 1));
    syn_optimizer *opt = syn_sgd(syn_module_parameters(net), (syn_sgd_options){.lr = 0.01});
    if (syn_data_parallel(net) != SYN_OK)
        return 1;

    int step = 0;
    for (; step < 10 && !syn_failed(); step++) {
        SYN_SCOPE {
            int64_t width = step == 3 && syn_rank() == syn_size() - 1 ? 3 : 2;
            syn_backward(syn_sum(syn_module_forward(net, syn_ones(SYN_SHAPE(4, width), SYN_F32))));
            syn_optimizer_step(opt);
            syn_optimizer_zero_grad(opt);
        }
    }
    /* mpirun ends the others as soon as one has ended: all have to be done with writing first. */
    printf("ended after step %d: %s\n", step, syn_error());
    fflush(stdout);
    syn_status status = syn_comm_barrier(syn_comm_world());
    syn_optimizer_free(opt);
    syn_module_free(net);
    return status == SYN_OK ? syn_finish() : 2;
}
