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
