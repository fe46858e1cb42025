# A few other settings of a run, tried on the validation split
rule tune:
    input:
        "results/data/{dataset}.npz",
    output:
        "results/tuning/{dataset}/{run}.json",
    log:
        "results/logs/tune/{dataset}/{run}.log",
    benchmark:
        "results/benchmarks/tune/{dataset}/{run}.tsv"
    # Before what waits for the choice
    priority: 2
    conda:
        "../envs/suite.yaml"
    threads: PLAN.threads
    resources:
        gpu=PLAN.gpus,
    params:
        grid=PLAN.grid,
    shell:
        "exec python -m arb_suite tune --grid {params.grid:q} --name {wildcards.dataset}/{wildcards.run} --data {input:q}"
        " --out {output:q} --log {log:q}"


rule table_tuned:
    input:
        metrics=PLAN.metrics("tuned"),
        trials=PLAN.choices("tuned"),
    output:
        table=report(
            "results/table_tuned.csv",
            caption="../report/captions/tuned.rst",
            category="Tables",
        ),
        text="results/table_tuned.txt",
        trials="results/tuning.csv",
    log:
        "results/logs/table_tuned.log",
    benchmark:
        "results/benchmarks/table_tuned.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=PLAN.tuned_table(),
    shell:
        "exec python -m arb_suite tuned --plan {params.plan:q} --out results --log {log:q}"
