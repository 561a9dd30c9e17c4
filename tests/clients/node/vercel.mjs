// Vercel's AI SDK on its providers for OpenAI (Responses, as it does by default, and chat completions) and Anthropic.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, embedMany, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { CITY, PERSON, PNG, QUESTION, WEATHER, serve } from "./protocol.mjs";

// Unless told so, it names what the model has said, as items that OpenAI has stored.
const STATELESS = { providerOptions: { openai: { store: false } } };

await serve({
  async plain(order) {
    return told(await generateText(request(order, { prompt: QUESTION })));
  },
  async stream(order) {
    const { result, pieces } = await gathered(request(order, { prompt: QUESTION }));
    return { ...(await awaited(result)), pieces };
  },
  async tools(order) {
    const result = await generateText(request(order, toolLoop()));
    return { text: result.text, calls: calls(result.steps) };
  },
  async tools_streamed(order) {
    const { result } = await gathered(request(order, toolLoop()));
    return { text: await result.text, calls: calls(await result.steps) };
  },
  async tools_stateless(order) {
    const result = await generateText(request(order, { ...toolLoop(), ...STATELESS }));
    return { text: result.text, calls: calls(result.steps) };
  },
  async turns(order) {
    const { prompt, ...loop } = toolLoop();
    const messages = [{ role: "user", content: prompt }];
    const first = await generateText(request(order, { ...loop, messages }));
    messages.push(...first.responseMessages, { role: "user", content: "Are you sure?" });
    const second = await gathered(request(order, { ...loop, messages, include: { requestBody: true } }));
    return { text: await second.result.text, named: named(await second.result.request) };
  },
  async structured(order) {
    const output = Output.object({ schema: jsonSchema(PERSON) });
    return { value: (await generateText(request(order, { prompt: "Who is it?", output }))).output };
  },
  async image(order) {
    const picture = { type: "file", data: Buffer.from(PNG, "base64"), mediaType: "image/png" };
    const content = [{ type: "text", text: "What is it?" }, picture];
    return told(await generateText(request(order, { messages: [{ role: "user", content }] })));
  },
  async embed(order) {
    const { embeddings } = await embedMany({
      model: openai(order).embeddingModel(order.model),
      values: ["one", "two"],
      maxRetries: 0,
    });
    return { vectors: embeddings };
  },
});

function request(order, fields) {
  return { model: model(order), maxRetries: 0, ...fields };
}

function model(order) {
  if (order.client === "vercel-anthropic")
    return createAnthropic({ baseURL: `${order.base_url}/v1`, apiKey: order.key })(order.model);
  return order.client === "vercel-openai-chat" ? openai(order).chat(order.model) : openai(order)(order.model);
}

function openai(order) {
  return createOpenAI({ baseURL: `${order.base_url}/v1`, apiKey: order.key });
}

function toolLoop() {
  const weather = tool({
    description: "The weather in a city.",
    inputSchema: jsonSchema(CITY),
    execute: async ({ city }) => WEATHER[city],
  });
  return { prompt: QUESTION, tools: { weather }, stopWhen: isStepCount(3) };
}

/** The stream's result and pieces; an error in it is raised, which the SDK leaves to `onError`. */
async function gathered(fields) {
  const errors = [];
  const result = streamText({ ...fields, onError: ({ error }) => errors.push(error) });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  if (errors.length) {
    await Promise.allSettled([result.text, result.usage, result.steps]);
    throw errors[0];
  }
  return { result, pieces };
}

async function awaited(result) {
  return told({ text: await result.text, usage: await result.usage });
}

function told({ text, usage }) {
  return { text, usage: [usage.inputTokens, usage.outputTokens] };
}

function calls(steps) {
  return steps.flatMap((step) => step.toolCalls.map((call) => [call.toolName, call.input]));
}

/** The kinds of items that a request named, by the prefixes of their ids. */
function named({ body }) {
  const items = (typeof body === "string" ? JSON.parse(body) : body).input;
  return items.filter(({ type }) => type === "item_reference").map(({ id }) => id.split("_")[0]);
}
