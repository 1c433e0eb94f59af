"""Answers OPA's conformance cases with rego-cpp.

Reads a case a line and writes what it came to, a line as well; see tests/conformance/src/peer.rs. Needs the package that
requirements.txt names.
"""

import json
import sys

import regopy
from regopy import rego_shared as rego

# What rego-cpp says of a policy that it can't run, as an error of the evaluation.
REFUSALS = ("not found", "not supported", "Recursion")


def observe(case, engine):
    try:
        if case.get("data") is not None:
            engine.add_data(case["data"])
        for i, module in enumerate(case.get("modules", [])):
            engine.add_module(f"test-{i}.rego", module)
        if "input_term" in case:
            engine.set_input_term(case["input_term"])
        elif "input" in case:
            engine.set_input(case["input"])
        # Not Interpreter.query(), which expects JSON where there is an error.
        output = rego.rego_query(engine._impl, case["query"])
    except regopy.RegoError as e:
        return refused(str(e))
    try:
        text = rego.rego_output_string(output)
        if not rego.rego_output_ok(output):
            return error(list(texts(rego.rego_output_node(output))))
        if text == "undefined":
            return {"solutions": "[]"}
        try:
            rows = json.loads(text)
        except ValueError:
            return refused(text)
        rows = rows if isinstance(rows, list) else [rows]
        return {"solutions": json.dumps([row.get("bindings", {}) for row in rows])}
    finally:
        rego.rego_free_output(output)


def error(texts):
    message = texts[0] if texts else ""
    if any(refusal in message for refusal in REFUSALS):
        return refused(message)
    code = next((text for text in texts if text.startswith("eval_") and text.endswith("_error")), "")
    return {"error": {"code": code, "message": message}}


def texts(node):
    """All texts in a node, in order: of an error the message, its place and its code."""
    try:
        yield rego.rego_node_value(node)
    except regopy.RegoError:
        pass
    for i in range(rego.rego_node_size(node)):
        yield from texts(rego.rego_node_get(node, i))


def refused(message):
    return {"refused": {"code": "load", "message": message}}


for line in sys.stdin:
    case = json.loads(line)["case"]["case"]
    engine = regopy.Interpreter()
    engine.log_level = regopy.LogLevel.NONE
    engine.strict_built_in_errors = case.get("strict_error", False)
    print(json.dumps(observe(case, engine)), flush=True)
