#!/usr/bin/python3
"""With virtual shards the weights and the curve have the same bits on any number of ranks, by any table, and after a lost rank."""
import os

from harness import DIGITS, check, finish, scratch
from train_support import GPT, checkpoints, curve, ours, result, rows, worker, write_text

# 36 steps: 7 samples in a shard, 4 or 5 in those of an epoch's last batch.
IMAGES = [DIGITS, "--set", "virtual_shards=8", "--set", "data.n_train=540", "--set", "data.n_test=150", "--set", "train.batch_size=56", "--set",
          "train.epochs=0", "--set", "train.max_steps=36", "--set", "data.augment_shift=2", "--set", "train.clip_norm=1", "--set",
          "train.eval_every_steps=18", "--set", "checkpoint.every_steps=15", "--set", "checkpoint.keep=0"]
MLP = IMAGES + ["--set", "model.hidden=[64, 32]", "--set", "model.dropout=0.2", "--set", "parallel.first_bucket_mb=0.01", "--set",
                "parallel.bucket_mb=0.05"]
LENET = "model: {kind: lenet5}\ndata: {kind: digits}\ntrain: {epochs: 1}\noptimizer: {kind: sgd, momentum: 0.9, lr: 0.05}\n"


def set_all(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def norms(run_dir):
    return [row["grad_norm"] for row in rows(run_dir)]


def train(n, words, where, table=None, **more):
    env = {"SYNCLINE_TEST_SHARD_TABLE": table} if table else {}
    env.update(more.pop("env", {}))
    return worker(n, *words, run_dir=where, env=env, **more)


def expect_same(n, words, where, whole, table=None):
    code, out, err = train(n, words, where, table)
    told = "%s: %d ranks, table %s" % (os.path.basename(whole), n, table)
    if not check(code == 0, "%s: exit %s %s" % (told, code, err[-600:])):
        return
    check(result(where)["weights_sha256"] == result(whole)["weights_sha256"], told + ": the same weights")
    check(curve(where) == curve(whole), told + ": the same losses and accuracies")
    check(norms(where) == norms(whole), told + ": the same norms of the gradient")
    for name, value in result(whole)["metrics"].items():
        check(result(where)["metrics"][name] == value, "%s: the same %s" % (told, name))


def every_number_of_ranks(folder, name, words, counts, tables):
    whole = os.path.join(folder, name)
    code, out, err = train(1, words, whole)
    if not check(code == 0, "%s on one rank: exit %s %s" % (name, code, err[-600:])):
        return whole
    losses = [float(row["train_loss"]) for row in rows(whole)]
    check(min(losses[-5:]) < losses[0] * 0.98, "%s learns: %s" % (name, losses[::6]))
    for n in counts:
        expect_same(n, words, "%s-%d" % (whole, n), whole)
    for i, table in enumerate(tables):
        expect_same(table.count(",") + 1, words, "%s-table-%d" % (whole, i), whole, table)
    return whole


def after_a_lost_rank(folder, name, words, whole):
    """Four ranks, one is killed in step 20; three, two and one go on from the checkpoint of step 15."""
    for left, table in ((3, "1,6,1"), (2, None), (1, None)):
        where = "%s-killed-%d" % (whole, left)
        code, out, err = train(4, words, where, env={"SYNCLINE_TEST_KILL_RANK": "2", "SYNCLINE_TEST_KILL_STEP": "20"})
        check(code not in (0, "timeout"), "%s: a killed rank ends the launch: exit %s" % (name, code))
        check(checkpoints(where) == ["step-00000015"], "%s: one checkpoint was written: %s" % (name, checkpoints(where)))
        env = {"SYNCLINE_TEST_SHARD_TABLE": table} if table else {}
        code, out, err = worker(left, "--resume", where, env=env)
        check(code == 0 and "resumed from" in out, "%s: %d ranks go on: exit %s %s" % (name, left, code, err[-600:]))
        check("rounded in another order" not in out, "nothing is rounded otherwise: " + out[:400])
        check(result(where)["weights_sha256"] == result(whole)["weights_sha256"], "%s: the same weights with %d ranks left" % (name, left))
        check(curve(where) == curve(whole), "%s: the same curve with %d ranks left" % (name, left))


def what_decides_the_bits(folder, whole):
    """The comparison can fail: another number of shards, and the fast mode, round otherwise."""
    for words in (["virtual_shards=4"], ["virtual_shards=0"]):
        where = os.path.join(folder, "other-" + words[0])
        code, out, err = train(2, MLP + set_all(*words), where)
        check(code == 0 and result(where)["weights_sha256"] != result(whole)["weights_sha256"], "%s: exit %s, other bits" % (words, code))


def refusals(folder):
    code, out, err = train(3, MLP + set_all("virtual_shards=2"), os.path.join(folder, "few"))
    text = "3 ranks cannot share 2 virtual shards; use fewer ranks or raise virtual_shards"
    check(code == 1 and len(ours(err)) == 1 and text in err, "too many ranks: exit %s %s" % (code, err[:400]))
    code, out, err = train(1, MLP + set_all("virtual_shards=57"), os.path.join(folder, "many"))
    check(code != 0 and "virtual_shards 57 is above train.batch_size 56; a shard needs a sample" in err, "too many shards: exit %s %s" % (code, err[:400]))
    code, out, err = train(2, MLP, os.path.join(folder, "table"), table="4,5")
    text = 'the shard table "4,5" does not divide 8 virtual shards among 2 ranks'
    check(code == 1 and len(ours(err)) == 1 and text in err, "a wrong table: exit %s %s" % (code, err[:400]))
    env = {"SYNCLINE_TEST_KILL_RANK": "1", "SYNCLINE_TEST_KILL_STEP": "3", "SYNCLINE_TEST_FAULT": "nan"}
    code, out, err = train(2, MLP, os.path.join(folder, "nan"), env=env)
    check(code == 1 and len(ours(err)) == 1 and "the training loss became nan in step 4" in err, "not a number: exit %s %s" % (code, err[:400]))
    env["SYNCLINE_TEST_FAULT"] = "fail"
    code, out, err = train(3, MLP, os.path.join(folder, "fail"), env=env)
    check(code == 1 and len(ours(err)) == 1 and "a failure made by SYNCLINE_TEST_FAULT in step 3" in err, "a failing rank: exit %s %s" % (code, err[:400]))


def main():
    folder = scratch()
    whole = every_number_of_ranks(folder, "mlp", MLP, (2, 3, 4, 8), ("5,1,2", "1,7"))
    after_a_lost_rank(folder, "mlp", MLP, whole)
    what_decides_the_bits(folder, whole)
    refusals(folder)
    lenet = os.path.join(folder, "lenet.yaml")
    with open(lenet, "w") as out:
        out.write(LENET)
    every_number_of_ranks(folder, "lenet-5", [lenet] + IMAGES[1:], (2, 3, 4, 8), ("3,4,1",))
    gpt = [GPT] + set_all("data.path=" + write_text(folder), "model.block=16", "model.width=32", "model.n_layers=2", "model.n_heads=2",
                          "model.dropout=0.1", "train.batch_size=12", "train.eval_batches=2", "train.max_steps=36", "virtual_shards=8",
                          "schedule.warmup_steps=5", "checkpoint.every_steps=15", "checkpoint.keep=0")
    whole = every_number_of_ranks(folder, "gpt", gpt, (2, 3, 4, 8), ("1,2,5",))
    after_a_lost_rank(folder, "gpt", gpt, whole)
    # Five shards of a batch of 56 and, in an epoch's last batch of 1, four without a sample; micro-batches; f64.
    five = MLP + set_all("virtual_shards=5", "data.n_train=505", "train.accumulate=3", "dtype=f64")
    every_number_of_ranks(folder, "five", five, (2, 3, 5), ("1,3,1",))
    # More than one thread, where it is asked for, for each rank.
    every_number_of_ranks(folder, "threads", MLP + set_all("threads=2"), (2,), ())
    finish(folder)


if __name__ == "__main__":
    main()
