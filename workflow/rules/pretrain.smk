rule pretrain:
    input:
        images="results/data/{dataset}.npz",
        choice=PLAN.choice,
    output:
        encoders="results/runs/{dataset}/{run}/seeds{seeds}/encoders.state",
        training="results/runs/{dataset}/{run}/seeds{seeds}/training.json",
    log:
        "results/logs/pretrain/{dataset}/{run}/seeds{seeds}.log",
    benchmark:
        "results/benchmarks/pretrain/{dataset}/{run}/seeds{seeds}.tsv"
    # Long jobs first: the short evaluations fill the cores at the end.
    priority: 1
    conda:
        "../envs/suite.yaml"
    threads: PLAN.threads
    params:
        settings=PLAN.training,
    shell:
        "exec python -m arb_suite pretrain --settings {params.settings:q} --name {wildcards.dataset}/{wildcards.run}"
        " --seeds {wildcards.seeds} --data {input.images:q} --encoders {output.encoders:q}"
        " --training {output.training:q} --choice {input.choice:q} --log {log:q}"
