AUDITS = ["cells", "sizes", "rankings", "places", "published", "redecided", "settings"]


rule audit:
    input:
        printed=expand("workflow/paper/{name}.csv", name=PLAN.printed()),
        schema="workflow/schemas/paper.schema.yaml",
        ledger=[
            "proofs_checks/ledger.yaml",
            "proofs_checks/search/counterexamples.yaml",
        ],
        digits="workflow/config/digits.yaml",
    output:
        claims=report(
            "results/claims.csv",
            caption="../report/captions/claims.rst",
            category="Claims",
        ),
        tables=[
            report(
                f"results/audit_{name}.csv",
                caption="../report/captions/audit.rst",
                category="Audit",
            )
            for name in AUDITS
        ],
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
