// OpenAI's own client in Node, in both of its APIs.

import OpenAI from "openai";
import { CITY, PERSON, PNG, QUESTION, WEATHER, serve } from "./protocol.mjs";

const chat = {
  ask: (order, messages, fields) =>
    client(order).chat.completions.create({ model: order.model, messages, ...fields }),
  stream: (order, messages, fields) =>
    client(order).chat.completions.stream({
      model: order.model,
      messages,
      stream_options: { include_usage: true },
      ...fields,
    }),

  async plain(order) {
    return told(await chat.ask(order, [user(QUESTION)]));
  },
  async streamed(order) {
    const pieces = [];
    const stream = chat.stream(order, [user(QUESTION)]).on("content", (delta) => pieces.push(delta));
    return { ...told(await stream.finalChatCompletion()), pieces };
  },
  async tools(order, ask) {
    const tools = [{ type: "function", function: { name: "weather", parameters: CITY } }];
    const asked = (await ask([user(QUESTION)], { tools })).choices[0].message;
    const calls = asked.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    const results = asked.tool_calls.map((call, index) => ({
      role: "tool",
      tool_call_id: call.id,
      content: WEATHER[calls[index][1].city],
    }));
    return { ...told(await ask([user(QUESTION), asked, ...results], { tools })), calls };
  },
  async structured(order) {
    const format = { type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON } };
    const answer = await chat.ask(order, [user("Who is it?")], { response_format: format });
    return { value: JSON.parse(answer.choices[0].message.content) };
  },
  async image(order) {
    const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
    return told(await chat.ask(order, [user([{ type: "text", text: "What is it?" }, picture])]));
  },
};

const responses = {
  ask: (order, input, fields) => client(order).responses.create({ model: order.model, input, ...fields }),
  stream: (order, input, fields) => client(order).responses.stream({ model: order.model, input, ...fields }),

  async plain(order) {
    return answered(await responses.ask(order, QUESTION));
  },
  async streamed(order) {
    const pieces = [];
    const stream = responses.stream(order, QUESTION).on("response.output_text.delta", (event) => pieces.push(event.delta));
    return { ...answered(await stream.finalResponse()), pieces };
  },
  async tools(order, ask) {
    const tools = [{ type: "function", name: "weather", parameters: CITY, strict: false }];
    const asked = await ask([user(QUESTION)], { tools });
    const wanted = asked.output.filter((item) => item.type === "function_call");
    const calls = wanted.map((call) => [call.name, JSON.parse(call.arguments)]);
    const results = wanted.map((call, index) => ({
      type: "function_call_output",
      call_id: call.call_id,
      output: WEATHER[calls[index][1].city],
    }));
    return { ...answered(await ask([user(QUESTION), ...asked.output, ...results], { tools })), calls };
  },
  async structured(order) {
    const text = { format: { type: "json_schema", name: "person", strict: true, schema: PERSON } };
    const answer = await client(order).responses.parse({ model: order.model, input: "Who is it?", text });
    return { value: answer.output_parsed };
  },
  async image(order) {
    const picture = { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "auto" };
    return answered(await responses.ask(order, [user([{ type: "input_text", text: "What is it?" }, picture])]));
  },
};

const api = (order) => (order.client === "node-openai-responses" ? responses : chat);
const final = (stream) => stream.finalChatCompletion?.() ?? stream.finalResponse();

await serve({
  plain: (order) => api(order).plain(order),
  stream: (order) => api(order).streamed(order),
  tools: (order) => api(order).tools(order, (messages, fields) => api(order).ask(order, messages, fields)),
  tools_streamed: (order) =>
    api(order).tools(order, (messages, fields) => final(api(order).stream(order, messages, fields))),
  structured: (order) => api(order).structured(order),
  image: (order) => api(order).image(order),
  async embed(order) {
    const answer = await client(order).embeddings.create({ model: order.model, input: ["one", "two"] });
    return { vectors: answer.data.map((each) => each.embedding) };
  },
});

function client(order) {
  return new OpenAI({ baseURL: `${order.base_url}/v1`, apiKey: order.key, maxRetries: 0 });
}

function user(content) {
  return { role: "user", content };
}

function told({ choices: [{ message }], usage }) {
  return { text: message.content, usage: [usage.prompt_tokens, usage.completion_tokens] };
}

function answered({ output_text: text, usage }) {
  return { text, usage: [usage.input_tokens, usage.output_tokens] };
}
