// A shopper and their purchases, as far as this page knows them.

import { call } from "./api.js";
import { say } from "./dom.js";
import { digits, nameOf, shopCurrency } from "./words.js";

const pageSize = 10;
export const firstPoll = 300; // ms; each further one waits longer, up to longestPoll

class Shopper {
  constructor({ id, name }) {
    this.id = id;
    this.name = name;
    this.entries = new Map(); // by event id
    this.attempts = new Map(); // by product id: buys not answered yet
    this.loaded = false; // the list has been here once
    this.stale = false; // and has to be loaded again
    this.trouble = null; // why it could not be
    this.older = null; // where the next page is
    this.running = null; // the sync under way
    this.delay = firstPoll; // before the next one
    this.timer = 0;
  }

  get path() {
    return `/api/v1/getAllUserBuys/${encodeURIComponent(this.id)}`;
  }

  get sorted() {
    return [...this.entries.values()].sort((a, b) => b.at - a.at);
  }

  get waiting() {
    return [...this.entries.values()].filter((e) => e.state === "accepted");
  }

  // accept takes a purchase that Kafka has.
  accept(p) {
    // A buy that was tried again may be stored by now.
    if (!this.entries.has(p.eventId)) this.entries.set(p.eventId, { ...entryOf(p), state: "accepted" });
  }

  // list takes purchases as the list has them.
  list(purchases) {
    for (const p of purchases) {
      const entry = entryOf(p);
      this.entries.set(entry.key, { ...entry, state: "stored", listed: true });
    }
  }
}

// Purchases of the original system have no event id, no minor units, no
// currency and no product.
const keyOf = (p) => p.eventId ?? `${p.timestamp}/${p.price}`;
function entryOf(p) {
  const currency = p.currency ?? shopCurrency;
  const amount = Number.isInteger(p.priceMinor) ? p.priceMinor / 10 ** digits(currency) : p.price;
  return { key: keyOf(p), eventId: p.eventId, amount, currency, product: p.product, at: p.timestamp };
}

const shoppers = new Map();

export function shopperOf({ id, name }) {
  const known = shoppers.get(id) ?? new Shopper({ id, name });
  known.name = name;
  shoppers.set(id, known);
  return known;
}

export const nextPage = (link) => link?.match(/<([^>]*)>\s*;\s*rel="?next"?/)?.[1] ?? null;

export async function loadNewest(who) {
  const { body, link } = await call(`${who.path}?limit=${pageSize}`);
  const next = nextPage(link);
  // If this page has no purchase that was listed before, some in between may be
  // missing: forget the older ones, which "older" then loads again.
  const gap = next !== null && !body.some((p) => who.entries.get(keyOf(p))?.listed);
  if (gap) for (const e of who.entries.values()) if (e.listed) who.entries.delete(e.key);
  if (gap || !who.loaded) who.older = next;
  who.list(body);
  who.loaded = true;
}

// checkWaiting asks what became of accepted purchases: of a few at a time, and
// of each in its turn.
export async function checkWaiting(who) {
  const asked = who.waiting.sort((a, b) => (a.asked ?? 0) - (b.asked ?? 0) || a.at - b.at).slice(0, 4);
  for (const e of asked) e.asked = Date.now();
  const answers = await Promise.all(asked.map((e) => call(`/api/v1/buys/${e.key}`)));
  let moved = false;
  answers.forEach(({ body }, i) => {
    if (body.state === "accepted") return;
    moved = true;
    asked[i].state = body.state === "stored" ? "stored" : "refused";
    asked[i].reason = body.error ?? body.reason;
    say(`${nameOf(asked[i])}: ${asked[i].state}.`);
  });
  return moved;
}
