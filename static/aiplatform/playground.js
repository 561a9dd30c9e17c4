// The page “Try a model”: a conversation through the door of browser sessions, whose answers come as events.
// What a model says is only ever put into the page as text.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";

  const form = document.getElementById("aip-try");
  if (!form) return;
  const [turns, unsaid, send, stop, anew, code] = ["turns", "unsaid", "send", "stop", "anew", "code"].map((name) => document.getElementById(`aip-${name}`));
  const waysOn = JSON.parse(document.getElementById("aip-ways-on").textContent);
  const field = (name) => form.elements[name];
  const given = (name) => (field(name).value.trim() ? Number(field(name).value) : undefined);

  let said = []; // the turns that go with the next message
  let asking = null; // aborts the call that is on its way

  /** Why there is no (whole) answer, in words. `way`: where to go about it. */
  class Refusal extends Error {
    constructor(text, way) {
      super(text);
      this.way = way;
    }
  }

  const put = (parent, tag, name, text = "") => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const link = (parent, { url, text }) => {
    const made = put(parent, "a", "aip-link", text);
    made.href = url;
  };

  // --- the call -----------------------------------------------------------------------------------------------------

  const refusalOf = ({ error, error_code: which }) => {
    const anew = { url: window.location.href, text: "Load this page anew" }; // where its token has grown old
    return new Refusal(error, which === "FORBIDDEN" ? anew : waysOn[which]);
  };

  const refused = async (response) => {
    if (response.status === 401) return new Refusal("You are signed out.", { url: form.dataset.signIn, text: "Sign in" });
    try {
      return refusalOf(await response.json());
    } catch {
      return new Refusal(`The platform did not answer as it should (${response.status}). Try again.`);
    }
  };

  /** The events of a stream, each with its name and what it holds. */
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const whole = (rest + value).split("\n\n");
      rest = whole.pop();
      for (const lines of whole) {
        const event = Object.fromEntries(lines.split("\n").map((line) => line.split(/: (.*)/s)));
        if (event.data) yield { name: event.event, data: JSON.parse(event.data) };
      }
    }
  }

  /** Show the answer to all that was said as it comes, and return its facts. Throws `Refusal`, an AbortError, a TypeError. */
  const answered = async (requestId, answer) => {
    const response = await fetch(form.dataset.door, {
      method: "POST",
      signal: asking.signal,
      headers: { "Content-Type": "application/json", "X-CSRFToken": field("csrfmiddlewaretoken").value, "X-Request-ID": requestId },
      body: JSON.stringify({
        model: field("model").value,
        messages: said,
        systemPrompt: field("system_prompt").value.trim() || undefined,
        temperature: given("temperature"),
        maxTokens: given("max_tokens"),
        stream: true,
      }),
    });
    if (!response.ok) throw await refused(response);
    for await (const { name, data } of events(response.body)) {
      if (name === "error") throw refusalOf(data);
      if (data.usage) return { ...data, head: response.headers };
      const follows = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40; // who reads on above is left there
      answer.append(data.content);
      if (follows) scrollDown();
    }
    throw new Refusal("The answer broke off before its end. Try again.");
  };

  // --- what is shown ------------------------------------------------------------------------------------------------

  const dollars = (amount) => `$${amount.toLocaleString("en-US", { maximumFractionDigits: 12 })}`;

  const costOf = ({ cost, head }) => {
    if (head.get("X-Cache") === "hit") return "$0: kept from an equal call";
    return cost === null ? "unknown: the model has no price" : dollars(cost);
  };

  const tell = (turn, facts, seconds, requestId) => {
    const list = put(turn, "dl", "aip-told");
    const fact = (title, text) => {
      const pair = put(list, "div", "");
      put(pair, "dt", "", title);
      return put(pair, "dd", "", text);
    };
    if (facts) fact("Answered by", `${facts.head.get("X-Provider")} / ${facts.head.get("X-Model")}`);
    fact("Time", `${seconds.toFixed(2)} s`);
    if (facts) {
      fact("Tokens in", facts.usage.promptTokens.toLocaleString("en-US"));
      fact("Tokens out", facts.usage.completionTokens.toLocaleString("en-US"));
      fact("Cost", costOf(facts));
      if (facts.finishReason === "length") fact("Note", "cut: it came to its greatest length");
    }
    if (form.dataset.calls) link(fact("In the books", ""), { url: `${form.dataset.calls}?q=${requestId}`, text: "See the call" });
  };

  const complain = (turn, error) => {
    if (error.name === "AbortError") {
      put(turn, "p", "aip-hint", "Stopped.");
      return;
    }
    const known = error instanceof Refusal;
    const trouble = put(turn, "p", "aip-trouble", known ? error.message : "The platform cannot be reached. Try again.");
    trouble.setAttribute("role", "alert");
    if (known && error.way) {
      trouble.append(" ");
      link(trouble, error.way);
    }
  };

  const showState = () => {
    const focused = [send, stop].includes(document.activeElement);
    turns.setAttribute("aria-busy", String(asking !== null)); // read out when it is whole, not word by word
    stop.hidden = asking === null;
    send.disabled = asking !== null;
    if (focused) (asking ? stop : send).focus(); // which the other one loses with its use
    unsaid.hidden = turns.childElementCount > 0;
    anew.hidden = !unsaid.hidden;
    showCode();
  };

  const scrollDown = () => { turns.scrollTop = turns.scrollHeight; };

  /** The call that was made last, or that the message would make. */
  const showCode = () => {
    const draft = field("message").value.trim() || (said.length ? "" : "Hello");
    const prompt = field("system_prompt").value.trim();
    const body = {
      model: field("model").value,
      messages: [
        ...(prompt ? [{ role: "system", content: prompt }] : []),
        ...(draft ? [...said, { role: "user", content: draft }] : said.slice(0, -1)),
      ],
      temperature: given("temperature"),
      max_tokens: given("max_tokens"),
    };
    const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
    const headers = ["Authorization: Bearer YOUR_KEY", "Content-Type: application/json"].map((line) => `  -H "${line}" \\\n`);
    code.textContent = `curl ${window.location.origin}/v1/chat/completions \\\n${headers.join("")}  -d '${quoted}'`;
  };

  // --- what people do -----------------------------------------------------------------------------------------------

  const newId = () => `try-${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

  const ask = async (question) => {
    const before = said;
    const requestId = newId();
    const began = performance.now();
    const turn = put(turns, "article", "aip-turn");
    put(turn, "p", "aip-said", question);
    const answer = put(turn, "p", "aip-answer");
    let facts = null;
    asking = new AbortController();
    const mine = asking;
    said = [...before, { role: "user", content: question }];
    field("message").value = "";
    showState();
    scrollDown();
    try {
      facts = await answered(requestId, answer);
    } catch (error) {
      complain(turn, error);
    }
    if (asking !== mine) return; // begun anew meanwhile
    asking = null;
    tell(turn, facts, (performance.now() - began) / 1000, requestId);
    if (answer.textContent && (facts || mine.signal.aborted)) {
      said = [...said, { role: "assistant", content: answer.textContent }];
    } else {
      said = before;
      field("message").value ||= question; // to be sent again
    }
    showState();
    scrollDown();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = field("message").value.trim();
    if (question && !asking) ask(question);
  });
  field("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener("click", () => asking?.abort());
  anew.addEventListener("click", () => {
    const left = asking;
    asking = null;
    left?.abort();
    said = [];
    turns.replaceChildren();
    showState();
    field("message").focus();
  });
  form.addEventListener("input", showCode);
  if (window.matchMedia("(max-width: 800px)").matches) form.querySelector("details").open = false;
  showState();
  if (document.activeElement === document.body) field("message").focus({ preventScroll: true }); // else somebody writes already
});
