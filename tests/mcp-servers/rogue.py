"""A server that does what it should not: `rogue.py HABIT`. Speaks the old protocol, by hand."""

import json
import os
import signal
import subprocess
import sys
import time

habit = sys.argv[1]
grown = []


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tool(name, schema=None):
    return {"name": name, "inputSchema": schema or {"type": "object"}}


def tools(cursor):
    if habit == "endless-list":
        number = int(cursor or 0)
        return {"tools": [tool(f"tool-{number}")], "nextCursor": str(number + 1)}
    if habit == "odd-tools":
        return {
            "tools": [
                tool("fine"),
                tool("broken", {"type": "no such type"}),
                tool("remote", {"$ref": "http://127.0.0.1:1/schema.json"}),
                tool("fine"),
                tool("naïve name/with.dots"),
                tool("long-" + "x" * 200),
            ]
        }
    return {"tools": [tool("work"), tool("other"), *map(tool, grown)]}


def call(number, name):
    if name == "other":
        return {"content": [{"type": "text", "text": f"process {os.getpid()}"}]}
    if habit == "dies":
        os._exit(3)
    if habit == "hangs":
        time.sleep(60)
    if habit == "grows":
        grown.append("grown")
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    if habit == "rubbish":
        sys.stdout.write('rubbish\n{"half": \n[1,2]\n{"jsonrpc":"2.0","id":"?","result":{}}\n\0\n')
        say({"jsonrpc": "2.0", "id": number + 1000, "result": {"content": []}})
    if habit == "floods":
        note = {"level": "info", "data": "x" * 1000}
        for _ in range(5000):
            say({"jsonrpc": "2.0", "method": "notifications/message", "params": note})
            sys.stderr.write("e" * 1000 + "\n")
    if habit == "long":
        return {"content": [{"type": "text", "text": "x" * (8 * 1024 * 1024)}]}
    return {"content": [{"type": "text", "text": "done"}]}


if habit == "clings":
    # Ends for nobody, and neither does what it has started.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", "trap '' TERM; echo $$ > grandchild; sleep 60; true"])
if habit == "leaves":
    sys.exit("I do not like it here")
if habit == "silent":
    time.sleep(60)

for line in sys.stdin:
    request = json.loads(line)
    method, number = request.get("method"), request.get("id")
    if number is None:
        continue
    answer = {"jsonrpc": "2.0", "id": number}
    params = request.get("params") or {}
    if method == "initialize":
        answer["result"] = {
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "rogue", "version": "1"},
        }
    elif method == "tools/list":
        answer["result"] = tools(params.get("cursor"))
    elif method == "tools/call":
        answer["result"] = call(number, params["name"])
    elif method == "server/discover" and habit == "touchy":
        sys.exit("what is that?")
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    say(answer)

while habit == "clings":
    time.sleep(60)
