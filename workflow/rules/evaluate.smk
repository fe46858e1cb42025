rule evaluate:
    input:
        images="results/data/{dataset}.npz",
        encoders="results/runs/{dataset}/{run}/seeds{seeds}/encoders.state",
        training="results/runs/{dataset}/{run}/seeds{seeds}/training.json",
    output:
        metrics="results/runs/{dataset}/{run}/seeds{seeds}/metrics.csv",
        predictions="results/runs/{dataset}/{run}/seeds{seeds}/predictions.npz",
    log:
        "results/logs/evaluate/{dataset}/{run}/seeds{seeds}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}/{run}/seeds{seeds}.tsv"
    conda:
        "../envs/suite.yaml"
    threads: PLAN.threads
    params:
        evaluation=PLAN.evaluation,
    shell:
        "exec python -m arb_suite evaluate --evaluation {params.evaluation:q} --name {wildcards.dataset}/{wildcards.run}"
        " --data {input.images:q} --encoders {input.encoders:q} --training {input.training:q}"
        " --metrics {output.metrics:q} --predictions {output.predictions:q} --log {log:q}"
