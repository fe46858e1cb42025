# What the runs of a configuration would take on this machine. No image is read.
rule throughput:
    output:
        "results/throughput.json",
    log:
        "results/logs/throughput.log",
    benchmark:
        "results/benchmarks/throughput.tsv"
    conda:
        "../envs/suite.yaml"
    threads: lambda wildcards: workflow.cores
    resources:
        gpu=1,
    params:
        workloads=packed(PLAN.workloads()),
        # What was measured on another machine is measured again
        machine=lambda wildcards: PLAN.machine(),
    shell:
        "exec python -m arb_suite throughput --workloads {params.workloads:q} --out {output:q} --log {log:q}"


rule plan:
    input:
        "results/throughput.json",
    output:
        table="results/plan.csv",
        text="results/plan.txt",
    log:
        "results/logs/plan.log",
    benchmark:
        "results/benchmarks/plan.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=packed(PLAN.costs()),
    shell:
        "exec python -m arb_suite plan --plan {params.plan:q} --throughput {input:q} --out {output.table:q}"
        " --text {output.text:q} --log {log:q}"
