// The way of a purchase: accepted at a position of the topic, then stored or
// refused, with the time between.

import { call } from "./api.js";
import { lag, moments } from "./words.js";

const placeOf = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
const viewer = placeOf("viewer");
const traces = placeOf("traces");

const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), { textContent: text }, attributes);

// placed is the position of a step's record, with a link where there is a viewer.
function placed({ topic, partition, offset }) {
  const text = `${topic}, partition ${partition}, offset ${offset}`;
  if (!viewer) return make("span", text, { className: "place" });
  return make("a", text, { className: "place", href: `${viewer}#${new URLSearchParams({ topic, partition, offset })}` });
}

function lineOf(step, error) {
  const line = make("li", "", { className: step.step });
  line.append(make("strong", step.step));
  if (step.at) line.append(" ", make("time", moments(new Date(step.at)), { dateTime: step.at }));
  if (step.lagSeconds !== undefined) line.append(", ", make("span", lag(step.lagSeconds), { className: "lag" }));
  if (step.partition !== undefined) line.append(placed(step));
  if (step.step === "dead-lettered" && error) line.append(make("span", error, { className: "place" }));
  return line;
}

// showWay asks for the way of a purchase and puts its steps into a list.
export async function showWay(eventId, list) {
  try {
    const { body } = await call(`/api/v1/buys/${eventId}`);
    const lines = (body.way ?? []).map((step) => lineOf(step, body.error));
    if (body.traceId) {
      const line = make("li", "", { className: "trace" });
      const id = make("code", body.traceId);
      if (traces) {
        const link = make("a", "", { href: traces.replaceAll("{id}", body.traceId) });
        link.append(id);
        line.append("trace ", link);
      } else line.append("trace ", id);
      lines.push(line);
    }
    list.replaceChildren(...lines);
  } catch (trouble) {
    list.replaceChildren(make("li", trouble.kind === "refused" ? trouble.message : "This can’t be shown right now."));
  }
}
