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
    threads: lambda wildcards: workflow.cores
    resources:
        gpu=1,
    shell:
        "exec python {input:q} --out {output:q} --workers {threads} > {log:q} 2>&1"


# How fast JPEGs of ImageNet's size are decoded here
rule decoding_benchmark:
    input:
        "workflow/benchmarks/decoding.py",
    output:
        "results/benchmark_decoding.csv",
    log:
        "results/logs/benchmark_decoding.log",
    benchmark:
        "results/benchmarks/benchmark_decoding.tsv"
    conda:
        "../envs/suite.yaml"
    threads: lambda wildcards: workflow.cores
    resources:
        gpu=1,
    shell:
        "exec python {input:q} --out {output:q} --threads {threads} > {log:q} 2>&1"


# How fast the nearest orthonormal basis is here, and how far off; a plain script too
rule basis_benchmark:
    input:
        script="workflow/benchmarks/basis.py",
        code=[
            "arb_core/basis.py",
            "arb_core/distributed.py",
            "arb_core/inverse_root.py",
            "arb_core/loss.py",
            "arb_core/scaling.py",
        ],
    output:
        times="results/benchmark_basis.csv",
        errors="results/benchmark_basis_errors.csv",
        plot="results/benchmark_basis.svg",
    log:
        "results/logs/benchmark_basis.log",
    benchmark:
        "results/benchmarks/benchmark_basis.tsv"
    conda:
        "../envs/suite.yaml"
    threads: lambda wildcards: workflow.cores
    resources:
        gpu=1,
    shell:
        "exec python {input.script:q} --out {output.times:q} --errors {output.errors:q} --plot {output.plot:q} --threads {threads}"
        " > {log:q} 2>&1"


# How far trainings in float32 and in float64 drift apart
rule drift:
    input:
        "results/data/digits.npz",
    output:
        "results/drift.csv",
    log:
        "results/logs/drift.log",
    benchmark:
        "results/benchmarks/drift.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=PLAN.drift(),
    shell:
        "exec python -m arb_suite drift --plan {params.plan:q} --data {input:q} --out {output:q} --log {log:q}"
