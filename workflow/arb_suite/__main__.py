"""Start a job: python -m arb_suite JOB [options], for the jobs that the rules name.

A job does not outlive the workflow that started it. That is watched from here, before the job's libraries are imported, which
takes seconds.
"""

import importlib
import os
import sys
import threading
import time

from .jobs import PARENT

DATA = ("digits", "glyphs", "cifar", "imagefolder", "generated")
TRAINING = ("throughput", "plan", "tune", "train", "drift")
TABLES = ("tables", "tuned", "embedded", "counterparts", "orderings", "spectra", "plots")
JOBS = {job: f"arb_suite.{job}" for job in DATA + TRAINING + TABLES}
JOBS |= {"audit": "arb_suite.audit.job", "faults": "arb_suite.faults.job", "hostile": "arb_suite.faults.hostile"}
JOBS["report"] = "arb_suite.report.job"
JOBS |= {"collapse": "proofs_checks.collapse", "cost": "proofs_checks.cost"}
JOBS |= {job: f"proofs_checks.{job}.job" for job in ("properties", "search")}


def main() -> None:
    """Run the job that the command line names, as long as its parent lives."""
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        sys.exit(f"usage: python -m arb_suite JOB [options], where JOB is one of {', '.join(JOBS)}")
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch() -> None:
        # No parent can pass on the SIGKILL that ends it; then another process takes its children.
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    if os.getppid() != parent:
        sys.exit("the workflow that started this job has ended")
    threading.Thread(target=watch, daemon=True, name="parent watch").start()
    job = sys.argv.pop(1)
    sys.argv[0] = f"arb_suite {job}"
    importlib.import_module(JOBS[job]).main()


if __name__ == "__main__":
    main()
