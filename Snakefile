"""Reproduce the tables of "Align Representations with Base": snakemake --cores all results/table_main.csv"""

import sys

from snakemake.utils import min_version

# The code of this clone, wherever one is installed
sys.path[:0] = [f"{workflow.basedir}/workflow", workflow.basedir]

from arb_suite.beginning import begin, end, look
from arb_suite.jobs import packed
from arb_suite.workflow import Plan

min_version("9.14")

if workflow.is_main_process:
    look()


configfile: "workflow/config/default.yaml"
configfile: "workflow/config/digits.yaml"
configfile: "workflow/config/digits_tables.yaml"
configfile: "workflow/config/digits_tuning.yaml"
configfile: "workflow/config/glyphs.yaml"
configfile: "workflow/config/paper.yaml"


report: "workflow/report/captions/workflow.rst"


PLAN = Plan(config)


wildcard_constraints:
    **PLAN.names(),


onstart:
    begin(
        PLAN,
        [(job.rule.name, job.wildcards) for job in workflow.dag.needrun_jobs()],
        written=[
            str(path)
            for job in workflow.dag.needrun_jobs()
            for path in (*job.output, *job.log, *filter(None, [job.benchmark]))
        ],
        here=workflow.local_exec,
    )


onsuccess:
    end(succeeded=True)


onerror:
    end(succeeded=False)


rule all:
    input:
        "results/table_main.csv",
        expand("results/{place}.csv", place=PLAN.config["counterparts"]),
        expand(
            "results/{place}.svg",
            place=[
                place
                for place in PLAN.config["counterparts"]
                if place.startswith("fig")
            ],
        ),
        "results/table_tuned.csv",
        "results/table_glyphs.csv",
        "results/orderings.csv",
        "results/spectra.svg",
        "results/claims.csv",
        "results/report.html",


include: "workflow/rules/data.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/faults.smk"
