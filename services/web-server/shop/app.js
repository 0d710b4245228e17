// The shop page. Two facts about the API shape it:
//  - a buy is answered once Kafka has it, and stored a moment later: the page
//    shows a purchase at once as accepted and asks until it is stored;
//  - a buy that was not answered may have been recorded all the same: trying
//    again sends the same Idempotency-Key, so it is recorded once.

// The server has written the catalogue and the suggested shoppers into the page.
const catalogue = [...document.querySelectorAll(".product")].map((card) => ({
  card,
  id: card.dataset.id,
  name: card.querySelector("h3").textContent,
  price: Number(card.querySelector("data").value),
}));

const suggested = [...document.querySelectorAll("#shoppers label")].map((label) => ({
  input: label.querySelector("input"),
  id: label.querySelector("input").value,
  name: label.textContent,
}));

const pageSize = 10;
const firstPoll = 300; // ms; each further one waits longer, up to longestPoll
const longestPoll = 8000;
const patience = 9000; // ms; the server answers within 5 s

const $ = (id) => document.getElementById(id);
const shopCurrency = document.querySelector('meta[name="currency"]').content;

// --- Words and numbers ------------------------------------------------------

const formats = new Map();
function moneyFormat(currency) {
  if (!formats.has(currency)) formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency }));
  return formats.get(currency);
}
const digits = (currency) => moneyFormat(currency).resolvedOptions().maximumFractionDigits;
const money = (amount, currency = shopCurrency) => moneyFormat(currency).format(amount);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const moment = (at) => (at.toDateString() === new Date().toDateString() ? clock : calendar).format(at);

const possessive = (name) => `${name}’${/s$/i.test(name) ? "" : "s"}`;
const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// --- What this browser remembers ---------------------------------------------

// Storage may be full, blocked or somebody else's mess: the page works without.
const memory = {
  read(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(`shopstream.${key}`)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  write(key, value) {
    try {
      localStorage.setItem(`shopstream.${key}`, JSON.stringify(value));
    } catch { /* then not */ }
  },
};

const nameOf = (entry) => entry.product ?? "A purchase";

// --- The API ------------------------------------------------------------------

// Trouble is an answer that is none. Its kind is "refused" where asking again is
// of no use, "away" where a backend is, "unreachable" where the shop itself is.
class Trouble extends Error {
  constructor(kind, detail, after = 0) {
    super(detail);
    this.kind = kind;
    this.after = after; // ms
  }
}

async function call(path, options = {}) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    const response = await fetch(path, { ...options, signal: abort.signal, cache: "no-store" });
    const body = await response.json().catch(() => null);
    if (response.ok && body !== null) return { body, link: response.headers.get("Link") };
    const detail = [body?.detail, ...(body?.errors ?? []).map((e) => `${e.field} ${e.detail}`)].filter(Boolean).join("; ");
    const kind = [408, 429, 502, 503, 504].includes(response.status) || response.ok ? "away" : "refused";
    throw new Trouble(kind, detail || `The answer was ${response.status}.`, 1000 * (Number(response.headers.get("Retry-After")) || 0));
  } catch (error) {
    throw error instanceof Trouble ? error : new Trouble("unreachable", "The shop can’t be reached from here.");
  } finally {
    clearTimeout(timer);
  }
}

// randomUUID is not there on plain http.
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

// --- A shopper and their purchases --------------------------------------------

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
  return { key: keyOf(p), amount, currency, product: p.product, at: p.timestamp };
}

const shoppers = new Map();
let shopper = null;

function shopperOf({ id, name }) {
  const known = shoppers.get(id) ?? new Shopper({ id, name });
  known.name = name;
  shoppers.set(id, known);
  return known;
}

const nextPage = (link) => link?.match(/<([^>]*)>\s*;\s*rel="?next"?/)?.[1] ?? null;

async function loadNewest(who) {
  const { body, link } = await call(`${who.path}?limit=${pageSize}`);
  const next = nextPage(link);
  // Where the page doesn't reach what was listed before, purchases lie in
  // between: "older" starts anew below this page.
  const gap = next !== null && !body.some((p) => who.entries.get(keyOf(p))?.listed);
  if (gap) for (const e of who.entries.values()) if (e.listed) who.entries.delete(e.key);
  if (gap || !who.loaded) who.older = next;
  who.list(body);
  who.loaded = true;
}

// checkWaiting asks what became of accepted purchases: of a few at a time, and
// of each in its turn.
async function checkWaiting(who) {
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

// sync brings the shopper's purchases up to date and goes on, ever more
// seldom, for as long as something is on its way or could not be loaded.
function sync(who, { reload = false } = {}) {
  clearTimeout(who.timer);
  who.stale ||= reload;
  who.running ??= update(who).then((after) => {
    who.running = null;
    if (who !== shopper) return;
    show();
    const missing = who.stale && who.trouble?.kind !== "refused";
    if (!missing && who.waiting.length === 0) return;
    who.timer = setTimeout(sync, Math.max(who.delay, after) * (0.8 + 0.4 * Math.random()), who);
    who.delay = Math.min(who.delay * 1.6, longestPoll);
  });
  return who.running;
}

// update returns how long the server asks to wait.
async function update(who) {
  try {
    if (await checkWaiting(who)) {
      who.stale = true;
      who.delay = firstPoll;
    }
    while (who.stale) {
      who.stale = false;
      await loadNewest(who);
    }
    who.trouble = null;
    return 0;
  } catch (trouble) {
    who.stale = true;
    who.trouble = trouble;
    return trouble.after ?? 0;
  }
}

async function loadOlder() {
  const who = shopper;
  const button = $("older");
  if (button.ariaDisabled === "true") return;
  busy(button, true);
  try {
    const before = who.entries.size;
    const { body, link } = await call(who.older);
    who.list(body);
    who.older = nextPage(link);
    say(`${count(who.entries.size - before, "older purchase")} shown.`);
  } catch (trouble) {
    who.trouble = trouble;
    sync(who, { reload: true }); // which tells when it is back
  } finally {
    busy(button, false);
    if (who === shopper) show();
  }
}

// --- Buying -------------------------------------------------------------------

async function buy(product) {
  const who = shopper;
  // One key until the purchase is answered: however often it is sent, it is
  // recorded once.
  const attempt = who.attempts.get(product.id) ?? { product, key: newKey() };
  if (attempt.busy) return;
  who.attempts.set(product.id, attempt);
  attempt.busy = true;
  showButton(product);
  try {
    const { body } = await call("/api/v1/buy", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": attempt.key },
      body: JSON.stringify({ username: who.name, userid: who.id, price: product.price, product: product.name }),
    });
    who.attempts.delete(product.id);
    who.accept(body.data);
    who.delay = firstPoll;
    say(`${product.name}, ${money(product.price)}: accepted.`);
    if (who === shopper) celebrate(product);
    sync(who);
  } catch (trouble) {
    attempt.busy = false;
    attempt.trouble = trouble;
    // A refusal is final: the next press is a new purchase.
    if (trouble.kind === "refused") attempt.key = newKey();
  }
  if (who === shopper) show();
}

function tryAgain() {
  for (const attempt of shopper.attempts.values()) if (attempt.trouble) buy(attempt.product);
}

// --- What is seen -------------------------------------------------------------

// say is for those who hear the page.
function say(text) {
  $("say").textContent = text;
}

function busy(button, is) {
  // Not disabled, which would lose the focus.
  button.ariaDisabled = is ? "true" : null;
}

const cards = new Map();

function stockShelf() {
  for (const product of catalogue) {
    product.card.querySelector("data").textContent = money(product.price);
    const button = product.card.querySelector("button");
    button.addEventListener("click", (event) => {
      event.preventDefault(); // the form would lead to the page for browsers without JavaScript
      buy(product);
    });
    cards.set(product.id, { button, celebrating: 0 });
  }
}

function showButton(product) {
  const { button, celebrating } = cards.get(product.id);
  const attempt = shopper.attempts.get(product.id);
  const failed = Boolean(attempt?.trouble) && !attempt.busy;
  const text = attempt?.busy ? "Buying…" : failed ? "Again" : celebrating ? "Bought" : "Buy";
  button.textContent = text;
  button.setAttribute("aria-label", `${failed ? "Try again to buy" : text} ${product.name}, ${money(product.price)}`);
  button.classList.toggle("failed", failed);
  button.classList.toggle("done", text === "Bought");
  busy(button, attempt?.busy);
}

function celebrate(product) {
  const card = cards.get(product.id);
  clearTimeout(card.celebrating);
  card.celebrating = setTimeout(() => {
    card.celebrating = 0;
    showButton(product);
  }, 1600);
}

function showNotices() {
  const failed = [...shopper.attempts.values()].filter((a) => a.trouble);
  const bad = $("not-accepted");
  if (failed.length > 0) {
    const last = failed[failed.length - 1].trouble;
    const final = failed.every((a) => a.trouble.kind === "refused");
    put(bad.querySelector("strong"), `Not accepted: ${failed.map((a) => a.product.name).join(", ")}`);
    put(bad.querySelector("p"), final
      ? `The shop refused it. ${last.message}`
      : `${last.kind === "unreachable" ? last.message : "Kafka is away or slow."} Try again when you like: it is recorded once.`);
    busy(bad.querySelector("button"), failed.some((a) => a.busy));
  }
  bad.hidden = failed.length === 0;

  const { trouble } = shopper;
  $("no-list").hidden = !trouble;
  if (!trouble) return;
  const lasting = trouble.kind === "refused";
  put($("no-list").querySelector("strong"), `Your purchases can’t be ${shopper.loaded ? "brought up to date" : "shown"}${lasting ? "" : " right now"}`);
  put($("no-list").querySelector("p"), trouble.kind === "away"
    ? "You can go on buying: what is accepted is safe, and shows as stored once the list is back. The page keeps asking."
    : trouble.message + (lasting ? "" : " The page keeps trying."));
}

// put leaves text alone that is already there: an alert would be read again.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const rows = new Map(); // by event id, of the shopper shown

function rowOf(entry) {
  if (!rows.has(entry.key)) {
    const row = $("purchase").content.cloneNode(true).firstElementChild;
    rows.set(entry.key, row);
    if (entry.state === "accepted") row.classList.add("new");
    const at = new Date(entry.at * 1000);
    row.querySelector("time").dateTime = at.toISOString();
    row.querySelector("time").textContent = moment(at);
  }
  const row = rows.get(entry.key);
  row.classList.remove("accepted", "stored", "refused");
  row.classList.add(entry.state);
  put(row.querySelector(".what"), nameOf(entry));
  put(row.querySelector(".amount"), money(entry.amount, entry.currency));
  put(row.querySelector(".state"), entry.state + (entry.reason ? `: ${entry.reason}` : ""));
  return row;
}

// arrange moves only what has to move: a row put in again would start its
// animation anew.
function arrange(list, rows) {
  rows.forEach((row, i) => {
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  while (list.children.length > rows.length) list.lastElementChild.remove();
}

function totalOf(entries) {
  const sums = new Map();
  for (const e of entries) sums.set(e.currency, (sums.get(e.currency) ?? 0) + Math.round(e.amount * 10 ** digits(e.currency)));
  return [...sums].map(([currency, minor]) => money(minor / 10 ** digits(currency), currency)).join(" + ");
}

function show() {
  const entries = shopper.sorted;
  const good = entries.filter((e) => e.state !== "refused");
  const more = shopper.older !== null;

  put($("receipt-title"), `${possessive(shopper.name)} purchases`);
  $("source").href = shopper.path;
  put($("source-path"), shopper.path);

  $("list").hidden = entries.length === 0;
  arrange($("list"), entries.map(rowOf));
  $("older").hidden = !more;
  $("empty").hidden = entries.length > 0 || (!shopper.loaded && shopper.trouble !== null);
  put($("empty"), shopper.loaded ? "Nothing yet. The first purchase will stand here." : "Loading…");

  $("total").hidden = good.length === 0;
  if (good.length > 0) {
    put($("total").querySelector("dt"), more || !shopper.loaded ? `Total of the ${good.length} shown` : `Total of ${count(good.length, "purchase")}`);
    put($("total").querySelector("dd"), totalOf(good));
  }

  const [what, sum] = $("till").children;
  const waiting = shopper.waiting.length;
  $("till").hidden = good.length === 0 && !shopper.trouble;
  put(what, waiting > 0 ? `${waiting} on the way` : shopper.trouble ? "Purchases can’t be shown" : `${count(good.length, "purchase")}${more ? " shown" : ""}`);
  put(sum, totalOf(good));

  catalogue.forEach(showButton);
  showNotices();
}

// --- Who is shopping ----------------------------------------------------------

function choose(who) {
  clearTimeout(shopper?.timer);
  shopper = shopperOf(who);
  rows.clear();
  memory.write("shopper", { id: shopper.id, name: shopper.name });
  for (const card of cards.values()) clearTimeout(card.celebrating), (card.celebrating = 0);
  shopper.delay = firstPoll;
  show();
  sync(shopper, { reload: true });
}

function addShopper(who, checked) {
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "userid", value: who.id, checked });
  const label = document.createElement("label");
  label.append(input, Object.assign(document.createElement("span"), { textContent: who.name }));
  input.addEventListener("change", () => choose(who));
  $("shoppers").append(label);
  return { input, label };
}

// showShoppers offers the suggested shoppers and one of the visitor's own, and
// returns who it was the last time.
function showShoppers() {
  const last = memory.read("shopper", suggested[0]);
  const known = suggested.find((s) => s.id === last?.id);
  const own = !known && typeof last?.id === "string" && typeof last?.name === "string" ? last : null;
  const first = known ?? own ?? suggested[0];
  for (const s of suggested) {
    s.input.checked = s === first; // also where the browser has kept another choice
    s.input.addEventListener("change", () => choose(s));
  }
  let added = own && addShopper(own, true);

  const form = $("someone");
  const fields = form.elements;
  const open = (is) => {
    form.hidden = !is;
    $("other").ariaExpanded = String(is);
  };
  $("other").addEventListener("click", () => {
    open(form.hidden);
    if (!form.hidden) fields.name.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const who = { id: fields.id.value.trim(), name: fields.name.value.trim() };
    // Dots alone are a step in a path, in every browser.
    const wrong = !who.name ? "name" : !who.id || /^\.{1,2}$/.test(who.id) ? "id" : null;
    for (const field of ["name", "id"]) fields[field].ariaInvalid = field === wrong ? "true" : null;
    $("someone-wrong").hidden = wrong === null;
    put($("someone-wrong"), wrong === "name" ? "A name is needed." : "A user id is needed, and not just dots.");
    if (wrong) return fields[wrong].focus();
    open(false);
    added?.label.remove();
    added = addShopper(who, true);
    added.input.focus();
    choose(who);
  });
  return first;
}

// --- Start --------------------------------------------------------------------

stockShelf();
choose(showShoppers());
$("random").addEventListener("click", () => buy(catalogue[Math.floor(Math.random() * catalogue.length)]));
$("older").addEventListener("click", loadOlder);
$("refresh").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  if (button.ariaDisabled === "true") return;
  busy(button, true);
  shopper.delay = firstPoll;
  await sync(shopper, { reload: true });
  busy(button, false);
  say(shopper.trouble ? "The purchases could not be loaded." : `${count(shopper.entries.size, "purchase")} shown.`);
});
$("not-accepted").querySelector("button").addEventListener("click", tryAgain);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && (shopper.trouble || shopper.waiting.length > 0)) sync(shopper);
});
