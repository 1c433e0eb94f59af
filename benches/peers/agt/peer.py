"""AGT's PolicyEvaluator as a contestant.

    peer.py FOLDER    loads agt.yaml and flat.jsonl, then answers orders from stdin, a line each

The words on the pipe are those of ../src/child.rs.
"""

import json
import logging
import sys
import time
import warnings
from itertools import cycle, islice
from pathlib import Path

# It says on import that its older distributions had other names.
warnings.simplefilter("ignore", DeprecationWarning)

from agent_os.policies import PolicyDocument, PolicyEvaluator  # noqa: E402


def main(folder: Path) -> None:
    # Whatever a library prints goes elsewhere than the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.WARNING)

    def say(report: dict) -> None:
        print(json.dumps(report), file=answers, flush=True)

    contexts = [json.loads(line) for line in (folder / "flat.jsonl").read_text().splitlines()]
    started = time.perf_counter_ns()
    evaluator = PolicyEvaluator([PolicyDocument.from_yaml(folder / "agt.yaml")])
    evaluator.evaluate(contexts[0])
    say({"first_decision_ns": time.perf_counter_ns() - started})
    for line in sys.stdin:
        say(follow(json.loads(line), evaluator, contexts))


def follow(order: dict, evaluator: PolicyEvaluator, contexts: list[dict]) -> dict:
    if order["do"] == "effects":
        return effects([evaluator.evaluate(context) for context in contexts])
    turns = list(islice(cycle(contexts), order["decisions"]))
    if order["do"] == "run":
        return {"ns": timed(evaluator, turns)}
    return {"latencies_ns": [timed(evaluator, [context]) for context in turns]}


def timed(evaluator: PolicyEvaluator, contexts: list[dict]) -> int:
    evaluate = evaluator.evaluate
    started = time.perf_counter_ns()
    for context in contexts:
        evaluate(context)
    return time.perf_counter_ns() - started


def effects(decisions: list) -> dict:
    # It denies where it fails; that would look like agreement.
    if any(decision.audit_entry.get("error") for decision in decisions):
        return {"error": "the evaluation failed"}
    return {"effects": ["allow" if decision.allowed else "deny" for decision in decisions]}


main(Path(sys.argv[1]))
