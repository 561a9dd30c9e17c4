// Anthropic's own client in Node.

import Anthropic from "@anthropic-ai/sdk";
import { CITY, PERSON, PNG, QUESTION, WEATHER, serve } from "./protocol.mjs";

await serve({
  async plain(order) {
    return told(await ask(order, [user(QUESTION)]));
  },
  async stream(order) {
    const pieces = [];
    const stream = streamed(order, [user(QUESTION)]).on("text", (delta) => pieces.push(delta));
    return { ...told(await stream.finalMessage()), pieces };
  },
  tools: (order) => toolLoop((messages, fields) => ask(order, messages, fields)),
  tools_streamed: (order) => toolLoop((messages, fields) => streamed(order, messages, fields).finalMessage()),
  async structured(order) {
    const output_config = { format: { type: "json_schema", schema: PERSON } };
    const answer = await client(order).messages.parse(body(order, [user("Who is it?")], { output_config }));
    return { value: answer.parsed_output ?? JSON.parse(text(answer)) };
  },
  async image(order) {
    const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
    return told(await ask(order, [user([{ type: "text", text: "What is it?" }, picture])]));
  },
});

async function toolLoop(ask) {
  const tools = [{ name: "weather", description: "The weather in a city.", input_schema: CITY }];
  const asked = await ask([user(QUESTION)], { tools });
  const wanted = asked.content.filter((block) => block.type === "tool_use");
  const results = wanted.map((block) => ({
    type: "tool_result",
    tool_use_id: block.id,
    content: WEATHER[block.input.city],
  }));
  const said = { role: "assistant", content: asked.content };
  const answer = await ask([user(QUESTION), said, user(results)], { tools });
  return { ...told(answer), calls: wanted.map((block) => [block.name, block.input]) };
}

function client(order) {
  return new Anthropic({ baseURL: order.base_url, apiKey: order.key, maxRetries: 0 });
}

function ask(order, messages, fields) {
  return client(order).messages.create(body(order, messages, fields));
}

function streamed(order, messages, fields) {
  return client(order).messages.stream(body(order, messages, fields));
}

function body(order, messages, fields) {
  return { model: order.model, max_tokens: 500, messages, ...fields };
}

function user(content) {
  return { role: "user", content };
}

function told(message) {
  return { text: text(message), usage: [message.usage.input_tokens, message.usage.output_tokens] };
}

function text(message) {
  return message.content.map((block) => block.text ?? "").join("");
}
