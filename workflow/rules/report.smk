# One page with everything. It waits for the parts that the configuration names, and takes all else as it lies there.
rule report:
    input:
        parts=PLAN.report_parts,
        texts=[
            f"workflow/report/{name}"
            for name in [
                "report.html.j2",
                "report_macros.html.j2",
                "report.css",
                "report.js",
                "report.yaml",
            ]
        ],
        ledger=[
            "proofs_checks/ledger.yaml",
            "proofs_checks/search/counterexamples.yaml",
        ],
        printed=expand("workflow/paper/{name}.csv", name=PLAN.printed()),
    output:
        report(
            "results/report.html",
            caption="../report/captions/report.rst",
            category="Report",
        ),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=packed(PLAN.report()),
    shell:
        "exec python -m arb_suite report --plan {params.plan:q} --out {output:q} --log {log:q}"
