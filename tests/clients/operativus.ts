async function streamAgent(agentId: string, message: string) {
  const response = await fetch(
    `http://localhost:8080/api/agents/${agentId}/runs/stream`,
    {
      method: "POST",
      headers: {
        "Authorization": "Bearer {token}",
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ message, sessionId: crypto.randomUUID() }),
    }
  );

  if (!response.body) throw new Error("No response body");

  const reader = response.body
    .pipeThrough(new TextDecoderStream())
    .getReader();

  let fullContent = "";
  let isThinking = false;

  while (true) {
    const { done, value } = await reader.read();
    if (done) break;

    for (const line of value.split("\n")) {
      if (!line.startsWith("data:")) continue;

      const event = JSON.parse(line.slice(5).trim());

      switch (event.event) {
        case "START":
          console.log("Stream started:", JSON.parse(event.data));
          break;

        case "REASONING_DELTA":
          if (!isThinking) {
            console.log("[thinking...]");
            isThinking = true;
          }
          process.stdout.write(event.data); // render reasoning trace
          break;

        case "CONTENT_DELTA":
          if (isThinking) {
            console.log("\n[response]");
            isThinking = false;
          }
          fullContent += event.data;
          process.stdout.write(event.data); // stream token to UI
          break;

        case "TOOL_START":
          const tool = JSON.parse(event.data);
          console.log(`\n[calling tool: ${tool.name}]`);
          break;

        case "TOOL_END":
          const result = JSON.parse(event.data);
          console.log(`[tool ${result.name} complete]`);
          break;

        case "STOP":
          console.log("\n[stream complete]");
          console.log("Full response:", fullContent);
          break;

        case "ERROR":
          console.error("Stream error:", event.data);
          break;
      }
    }
  }
}

streamAgent("finance_agent", "What is the current NVDA stock price?");
