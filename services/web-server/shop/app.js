// The shop page. Two facts about the API shape it:
//  - a buy is answered once Kafka has it, and stored a moment later: the page
//    shows a purchase at once as accepted and asks until it is stored;
//  - a buy that was not answered may have been recorded all the same: trying
//    again sends the same Idempotency-Key, so it is recorded once.

import { call, newKey } from "./api.js";
import { $, busy, memory, put, say } from "./dom.js";
import { checkWaiting, firstPoll, loadNewest, nextPage, shopperOf } from "./shopper.js";
import { showWay } from "./way.js";
import { count, digits, moment, money, nameOf, possessive } from "./words.js";

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

const longestPoll = 8000; // ms

let shopper = null; // who is shopping

// sync brings the shopper's purchases up to date, and repeats that less and less
// often while a purchase is on its way or something could not be loaded.
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
      : `${last.kind === "unreachable" ? last.message : "Kafka is unreachable or slow."} You can safely try again: it is recorded once.`);
    busy(bad.querySelector("button"), failed.some((a) => a.busy));
  }
  bad.hidden = failed.length === 0;

  const { trouble } = shopper;
  $("no-list").hidden = !trouble;
  if (!trouble) return;
  const lasting = trouble.kind === "refused";
  put($("no-list").querySelector("strong"), `Your purchases can’t be ${shopper.loaded ? "brought up to date" : "shown"}${lasting ? "" : " right now"}`);
  put($("no-list").querySelector("p"), trouble.kind === "unavailable"
    ? "You can go on buying: what is accepted is safe, and shows as stored once the list is back. The page keeps asking."
    : trouble.message + (lasting ? "" : " The page keeps trying."));
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
    const way = row.querySelector(".way");
    way.hidden = entry.eventId === undefined; // those of the original system have no id to ask for
    way.addEventListener("toggle", () => way.open && showWay(entry.eventId, way.querySelector("ol")));
  }
  const row = rows.get(entry.key);
  const way = row.querySelector(".way");
  if (way.open && !row.classList.contains(entry.state)) showWay(entry.eventId, way.querySelector("ol"));
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
  put($("empty"), shopper.loaded ? "Nothing yet. The first purchase will appear here." : "Loading…");

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
