/* The smallest training: Net(2, 5, 1) with ReLU, mean squared error and SGD. Alone, or as `mpirun
 * -np 2 example_net251`: then each rank has its own half of the samples and gradients are averaged
 * while backward runs. */
#include <stdio.h>
#include <syncline/syncline.h>

enum { N_SAMPLES = 64, N_EPOCHS = 100 };

/* The rows of this rank: n of them from `first` on. */
static syn_tensor *my_rows(syn_tensor *all)
{
    int64_t n = syn_tensor_size(all, 0), rank = syn_rank(), size = syn_size();
    return syn_slice(all, 0, n * rank / size, n * (rank + 1) / size, 1);
}

int main(int argc, char **argv)
{
    if (syn_init_mpi(&argc, &argv) != SYN_OK) {
        fprintf(stderr, "net251: %s\n", syn_error_message());
        return 1;
    }
    syn_manual_seed(251);

    /* The same data on every rank: y = x0 - 2 x1 + a little noise. */
    syn_tensor *x = syn_randn(SYN_SHAPE(N_SAMPLES, 2), SYN_F32);
    syn_tensor *y =
        syn_add(syn_sub(syn_slice(x, 1, 0, 1, 1), syn_mul_scalar(syn_slice(x, 1, 1, 2, 1), 2.0)),
                syn_mul_scalar(syn_randn(SYN_SHAPE(N_SAMPLES, 1), SYN_F32), 0.1));
    syn_tensor *my_x = my_rows(x), *my_y = my_rows(y);

    syn_module *net = syn_sequential(syn_linear(2, 5), syn_relu_module(), syn_linear(5, 1));
    syn_optimizer *opt = syn_sgd(syn_module_parameters(net), (syn_sgd_options){.lr = 0.05});
    if (!syn_failed() && syn_data_parallel(net) != SYN_OK) {
        fprintf(stderr, "net251: %s\n", syn_error_message());
        return 1;
    }

    for (int epoch = 0; epoch < N_EPOCHS && !syn_failed(); epoch++) {
        SYN_SCOPE {
            syn_tensor *loss = syn_mse_loss(syn_module_forward(net, my_x), my_y);
            syn_backward(loss);
            syn_optimizer_step(opt);
            syn_optimizer_zero_grad(opt);
            if (syn_rank() == 0 && (epoch % 10 == 0 || epoch == N_EPOCHS - 1))
                printf("epoch %3d  loss %.6f\n", epoch, syn_item(loss));
        }
    }
    if (syn_rank() == 0)
        syn_module_print(net, stdout);

    syn_optimizer_free(opt);
    syn_module_free(net);
    return syn_finish(); /* prints the first error, if there was one, and returns its code */
}
