# How fast pre-training is here; the script is a plain one, for machines without Snakemake
rule pretraining_benchmark:
    input:
        "workflow/benchmarks/pretraining.py",
    output:
        "results/benchmark_pretraining.csv",
    log:
        "results/logs/benchmark_pretraining.log",
    benchmark:
        "results/benchmarks/benchmark_pretraining.tsv"
    conda:
        "../envs/suite.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    shell:
        "exec python {input:q} --out {output:q} --workers {threads} > {log:q} 2>&1"
