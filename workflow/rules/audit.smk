AUDITS = ["cells", "sizes", "rankings", "places", "published", "redecided", "settings"]


rule audit:
    input:
        printed=expand("workflow/paper/{name}.csv", name=PLAN.printed()),
        schema="workflow/schemas/paper.schema.yaml",
        ledger="proofs_checks/ledger.yaml",
    output:
        claims="results/claims.csv",
        tables=expand("results/audit_{name}.csv", name=AUDITS),
    log:
        "results/logs/audit.log",
    benchmark:
        "results/benchmarks/audit.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        settings=PLAN.audit(),
    shell:
        "exec python -m arb_suite audit --settings {params.settings:q} --paper workflow/paper --schema {input.schema:q}"
        " --out results --log {log:q}"


# Not part of `all`: every statement of the theory on 100,000 cases, and climbed from hundreds of starts. Hours.
rule theory_deep:
    input:
        ledger="proofs_checks/ledger.yaml",
    output:
        "results/theory_deep.csv",
    log:
        "results/logs/theory_deep.log",
    benchmark:
        "results/benchmarks/theory_deep.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        code=PLAN.theory(),
    shell:
        "exec python -m arb_suite theory --deep --out {output:q} --log {log:q}"
