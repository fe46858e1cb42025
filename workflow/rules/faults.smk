# What the main job makes of kills, a full disk, damaged files and company; the short form is for CI
rule faults:
    output:
        "results/faults{form}.csv",
    log:
        "results/logs/faults{form}.log",
    benchmark:
        "results/benchmarks/faults{form}.tsv"
    wildcard_constraints:
        form="|_short",
    conda:
        "../envs/suite.yaml"
    # Moments are taken on an undisturbed command, and other jobs would disturb it
    threads: lambda wildcards: workflow.cores
    params:
        short=lambda wildcards: "--short" if wildcards.form else "",
    shell:
        "exec python -m arb_suite faults {params.short} --cores {threads} --kept results/faults --out {output:q} --log {log:q}"


# How hostile values of every key of the configuration are answered
rule hostile:
    output:
        "results/hostile.csv",
    log:
        "results/logs/hostile.log",
    benchmark:
        "results/benchmarks/hostile.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        config=packed(PLAN.whole()),
    shell:
        "exec python -m arb_suite hostile --config {params.config:q} --out {output:q} --log {log:q}"
