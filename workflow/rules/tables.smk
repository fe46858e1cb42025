rule table_main:
    input:
        metrics=PLAN.metrics(),
        printed="workflow/paper/tables.csv",
        template="workflow/report/table_main.html.j2",
    output:
        table=report(
            "results/table_main.csv",
            caption="../report/captions/table_main.rst",
            category="Tables",
        ),
        page="results/table_main.html",
        text="results/table_main.txt",
        orderings=report(
            "results/orderings_main.csv",
            caption="../report/captions/orderings.rst",
            category="Orderings",
        ),
        seeds="results/runs.csv",
    log:
        "results/logs/table_main.log",
    benchmark:
        "results/benchmarks/table_main.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=PLAN.tables(),
    shell:
        "exec python -m arb_suite tables --plan {params.plan:q} --printed {input.printed:q} --out results --log {log:q}"


# Tables 2 to 5 and Figures 3 to 7
rule counterpart:
    input:
        metrics=lambda wildcards: PLAN.metrics(wildcards.place),
        trainings=lambda wildcards: PLAN.trainings(wildcards.place),
        choices=lambda wildcards: PLAN.choices(wildcards.place),
        printed=lambda wildcards: str(PLAN.printed_file(wildcards.place)),
    output:
        report(
            "results/{place}.csv",
            caption="../report/captions/counterpart.rst",
            category="Tables",
            labels={"place": "{place}"},
        ),
    log:
        "results/logs/{place}.log",
    benchmark:
        "results/benchmarks/{place}.tsv"
    wildcard_constraints:
        place="|".join(PLAN.config["counterparts"]),
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=lambda wildcards: PLAN.counterpart(wildcards.place),
    shell:
        "exec python -m arb_suite counterparts --place {wildcards.place} --plan {params.plan:q} --paper workflow/paper"
        " --out {output:q} --log {log:q}"


# The figures, and the singular values
rule plot:
    input:
        "results/{place}.csv",
    output:
        report(
            "results/{place}.svg",
            caption="../report/captions/plot.rst",
            category="Figures",
            labels={"place": "{place}"},
        ),
    log:
        "results/logs/{place}_plot.log",
    benchmark:
        "results/benchmarks/{place}_plot.tsv"
    wildcard_constraints:
        place="fig[3-7]|spectra",
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        code=PLAN.plots(),
    shell:
        "exec python -m arb_suite plots --place {wildcards.place} --table {input:q} --out {output:q} --log {log:q}"


# Singular values of the embeddings along the training
rule spectra:
    input:
        PLAN.spectra_predictions(),
    output:
        "results/spectra.csv",
    log:
        "results/logs/spectra.log",
    benchmark:
        "results/benchmarks/spectra.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=PLAN.spectra(),
    shell:
        "exec python -m arb_suite spectra --plan {params.plan:q} --out {output:q} --log {log:q}"


rule orderings:
    input:
        metrics=PLAN.all_metrics(),
        choices=PLAN.trials(),
        trainings=PLAN.traced(),
        printed=expand(
            "workflow/paper/{name}.csv",
            name=["tables", "fig3", "fig4", "fig5", "fig6", "fig7"],
        ),
    output:
        table=report(
            "results/orderings.csv",
            caption="../report/captions/orderings.rst",
            category="Orderings",
        ),
        text="results/orderings.txt",
    log:
        "results/logs/orderings.log",
    benchmark:
        "results/benchmarks/orderings.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=packed(PLAN.orderings()),
    shell:
        "exec python -m arb_suite orderings --plan {params.plan:q} --paper workflow/paper --out {output.table:q}"
        " --text {output.text:q} --log {log:q}"


rule table_glyphs:
    input:
        metrics=PLAN.metrics("glyphs"),
    output:
        report(
            "results/table_glyphs.csv",
            caption="../report/captions/glyphs.rst",
            category="Tables",
        ),
    log:
        "results/logs/table_glyphs.log",
    benchmark:
        "results/benchmarks/table_glyphs.tsv"
    conda:
        "../envs/suite.yaml"
    threads: 1
    params:
        plan=PLAN.glyphs_table(),
    shell:
        "exec python -m arb_suite embedded --plan {params.plan:q} --out {output:q} --log {log:q}"
