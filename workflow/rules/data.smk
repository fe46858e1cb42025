rule digits:
    output:
        images="results/data/digits.npz",
        description="results/data/digits.json",
    log:
        "results/logs/digits.log",
    benchmark:
        "results/benchmarks/digits.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        settings=PLAN.data("digits"),
    shell:
        "exec python -m arb_suite digits --settings {params.settings:q} --out {output.images:q} --log {log:q}"


# A second embedded data set, generated: more classes than there are digits
rule glyphs:
    output:
        images="results/data/glyphs.npz",
        description="results/data/glyphs.json",
    log:
        "results/logs/glyphs.log",
    benchmark:
        "results/benchmarks/glyphs.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        settings=PLAN.data("glyphs"),
    shell:
        "exec python -m arb_suite glyphs --settings {params.settings:q} --out {output.images:q} --log {log:q}"


# The paper's data sets, as their authors published them, in the folder that the user names
rule photographs:
    output:
        images="results/data/{dataset}.npz",
        description="results/data/{dataset}.json",
    log:
        "results/logs/{dataset}.log",
    benchmark:
        "results/benchmarks/{dataset}.tsv"
    wildcard_constraints:
        dataset="cifar10|cifar100|imagenet100|imagenet1k",
    conda:
        "../envs/suite.yaml"
    threads: 4
    params:
        job=lambda wildcards, threads: PLAN.reader(wildcards.dataset, threads),
        settings=lambda wildcards: PLAN.data(wildcards.dataset),
        root=PLAN.data_root(),
    shell:
        "exec python -m arb_suite {params.job} --dataset {wildcards.dataset} --root {params.root:q}"
        " --settings {params.settings:q} --out {output.images:q} --log {log:q}"
