"""A server made with the protocol's SDK for Python.

`notes.py`, `notes.py PORT` over HTTP, or `notes.py PORT CERTIFICATE KEY` over TLS.
"""

import os
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("notes")
notes: dict[str, str] = {"first": "The first note."}


@server.tool()
def add_note(title: str, text: str) -> dict[str, int]:
    """Keeps a note."""
    notes[title] = text
    return {"notes": len(notes)}


@server.tool()
def fail(reason: str) -> str:
    """Fails."""
    raise ValueError(reason)


@server.tool()
def process() -> str:
    """Tells which process this is."""
    return str(os.getpid())


@server.tool()
def environment() -> list[str]:
    """Tells which variables there are."""
    return sorted(os.environ)


@server.tool()
async def learn(name: str, context: Context) -> str:
    """Makes a new tool."""

    def learnt() -> str:
        return f"I am {name}."

    server.add_tool(learnt, name=name, description="Learnt later.")
    await context.notify_tools_changed()
    return "learnt"


@server.resource("note://{title}")
def note(title: str) -> str:
    return notes[title]


@server.resource("notes://all")
def all_notes() -> str:
    return "\n".join(notes)


@server.prompt()
def summarize(title: str) -> str:
    """Asks for a summary of a note."""
    return f"Summarize: {notes[title]}"


if len(sys.argv) > 2:
    import uvicorn

    port, certificate, key = sys.argv[1:]
    uvicorn.run(
        server.streamable_http_app(),
        host="127.0.0.1",
        port=int(port),
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
elif len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run("stdio")
