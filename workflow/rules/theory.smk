# What is tried of the theory at length, beside the ledger that the rule `audit` decides. Not part of `all`: hours. What was found
# is kept in results/reference/.
rule theory:
    input:
        expand(
            "results/theory_properties_of_{subject}.csv",
            subject=["bases", "losses", "sizes"],
        ),
        "results/theory_search.csv",
        "results/theory_collapse.csv",
        "results/theory_cost.csv",


# What is true, on 100,000 cases each that Hypothesis draws
rule theory_properties:
    output:
        "results/theory_properties_of_{subject}.csv",
    log:
        "results/logs/theory_properties_of_{subject}.log",
    benchmark:
        "results/benchmarks/theory_properties_of_{subject}.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        code=PLAN.theory(),
    shell:
        "exec python -m arb_suite properties {wildcards.subject} --out {output:q} --log {log:q}"


# Every inequality, climbed by its violation from 200 starts at many sizes
rule theory_search:
    output:
        "results/theory_search.csv",
    log:
        "results/logs/theory_search.log",
    benchmark:
        "results/benchmarks/theory_search.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        code=PLAN.theory(),
    shell:
        "exec python -m arb_suite search --out {output:q} --log {log:q}"


# Training that starts collapsed
rule theory_collapse:
    input:
        "workflow/config/digits.yaml",
    output:
        "results/theory_collapse.csv",
    log:
        "results/logs/theory_collapse.log",
    benchmark:
        "results/benchmarks/theory_collapse.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        code=PLAN.theory(),
    shell:
        "exec python -m arb_suite collapse --out {output:q} --log {log:q}"


# Times, which differ from machine to machine: all cores, so that nothing else is at work
rule theory_cost:
    output:
        times="results/theory_cost.csv",
        exponents="results/theory_cost_exponents.csv",
    log:
        "results/logs/theory_cost.log",
    benchmark:
        "results/benchmarks/theory_cost.tsv"
    conda:
        "../envs/suite.yaml"
    threads: lambda wildcards: workflow.cores
    params:
        code=PLAN.theory(),
    shell:
        "exec python -m arb_suite cost --out {output.times:q} --exponents {output.exponents:q} --log {log:q}"
