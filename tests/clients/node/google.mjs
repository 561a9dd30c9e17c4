// Google's own client in Node.

import { GoogleGenAI } from "@google/genai";
import { CITY, PERSON, PNG, QUESTION, WEATHER, serve } from "./protocol.mjs";

await serve({
  async plain(order) {
    return told(await ask(order, QUESTION));
  },
  async stream(order) {
    const { pieces, last } = await gathered(order, QUESTION);
    return { ...told(last), text: pieces.join(""), pieces };
  },
  async tools(order) {
    return toolLoop((contents, config) => ask(order, contents, config));
  },
  async tools_streamed(order) {
    return toolLoop(async (contents, config) => {
      const { calls, pieces, parts, last } = await gathered(order, contents, config);
      const { usageMetadata } = last;
      return { text: pieces.join(""), functionCalls: calls, candidates: [{ content: { role: "model", parts } }], usageMetadata };
    });
  },
  async structured(order) {
    const answer = await ask(order, "Who is it?", { responseMimeType: "application/json", responseJsonSchema: PERSON });
    return { value: JSON.parse(answer.text) };
  },
  async image(order) {
    return told(await ask(order, ["What is it?", { inlineData: { mimeType: "image/png", data: PNG } }]));
  },
  async embed(order) {
    const answer = await client(order).models.embedContent({ model: order.model, contents: ["one", "two"] });
    return { vectors: answer.embeddings.map((each) => each.values) };
  },
});

async function toolLoop(ask) {
  const config = { tools: [{ functionDeclarations: [{ name: "weather", parametersJsonSchema: CITY }] }] };
  const question = { role: "user", parts: [{ text: QUESTION }] };
  const asked = await ask([question], config);
  const parts = asked.functionCalls.map(({ id, name, args }) => ({
    functionResponse: { id, name, response: { output: WEATHER[args.city] } },
  }));
  const answer = await ask([question, asked.candidates[0].content, { role: "user", parts }], config);
  return { ...told(answer), calls: asked.functionCalls.map((call) => [call.name, call.args]) };
}

async function gathered(order, contents, config) {
  const [pieces, calls, parts] = [[], [], []];
  let last;
  for await (const chunk of await client(order).models.generateContentStream({ model: order.model, contents, config })) {
    parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    calls.push(...(chunk.functionCalls ?? []));
    if (chunk.text) pieces.push(chunk.text);
    last = chunk;
  }
  return { pieces, calls, parts, last };
}

function ask(order, contents, config) {
  return client(order).models.generateContent({ model: order.model, contents, config });
}

function client(order) {
  return new GoogleGenAI({ apiKey: order.key, httpOptions: { baseUrl: order.base_url } });
}

function told({ text, usageMetadata: usage }) {
  return { text, usage: [usage.promptTokenCount, usage.candidatesTokenCount] };
}
