rule train:
    input:
        images="results/data/{dataset}.npz",
        choice=PLAN.choice,
    output:
        encoders="results/runs/{dataset}/{run}/seeds{seeds}/encoders.state",
        training="results/runs/{dataset}/{run}/seeds{seeds}/training.json",
        metrics="results/runs/{dataset}/{run}/seeds{seeds}/metrics.csv",
        predictions="results/runs/{dataset}/{run}/seeds{seeds}/predictions.npz",
    log:
        "results/logs/train/{dataset}/{run}/seeds{seeds}.log",
    benchmark:
        "results/benchmarks/train/{dataset}/{run}/seeds{seeds}.tsv"
    priority: 1
    conda:
        "../envs/suite.yaml"
    threads: PLAN.threads
    resources:
        gpu=PLAN.gpus,
        # No parameter: a finished run is good for any number of processes, and not made again for another
        processes=PLAN.processes,
    params:
        root=PLAN.root_option,
        settings=PLAN.training,
        evaluation=PLAN.evaluation,
    shell:
        "exec python -m arb_suite train --settings {params.settings:q} --evaluation {params.evaluation:q}"
        " --name {wildcards.dataset}/{wildcards.run} --seeds {wildcards.seeds} --data {input.images:q}"
        " --choice {input.choice:q} --encoders {output.encoders:q} --training {output.training:q}"
        " --processes {resources.processes} {params.root} --metrics {output.metrics:q} --predictions {output.predictions:q} --log {log:q}"
