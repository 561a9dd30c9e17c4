// What tests/clients/foreign/protocol.py is to the clients in Python: orders on stdin, outcomes on stdout, a line of JSON each.

import readline from "node:readline";

export const QUESTION = "Is it warmer in Paris or in Oslo?";
// One red pixel.
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const WEATHER = { Paris: "21 degrees", Oslo: "4 degrees" };
export const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

/** Play what is ordered until stdin ends. `scenarios` are functions of an order, by name. */
export async function serve(scenarios) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const outcome = await scenarios[order.scenario](order).catch((error) => ({ error: told(error) }));
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  }
}

function told(error) {
  const kinds = [error.name];
  for (let kind = error.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) kinds.push(kind.name);
  return { kinds, status: error.status ?? error.statusCode ?? null, message: String(error.message) };
}
