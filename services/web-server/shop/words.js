// How money, times and names become text.

export const shopCurrency = document.querySelector('meta[name="currency"]').content;

const formats = new Map();
function moneyFormat(currency) {
  if (!formats.has(currency)) formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency }));
  return formats.get(currency);
}
export const digits = (currency) => moneyFormat(currency).resolvedOptions().maximumFractionDigits;
export const money = (amount, currency = shopCurrency) => moneyFormat(currency).format(amount);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const moment = (at) => (at.toDateString() === new Date().toDateString() ? clock : calendar).format(at);

const exactly = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
export const moments = (at) => exactly.format(at);

export function lag(seconds) {
  if (seconds < 1) return `${Math.floor(seconds * 1000)} ms later`;
  if (seconds < 60) return `${seconds.toFixed(1)} s later`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s later`;
}

export const possessive = (name) => `${name}’${/s$/i.test(name) ? "" : "s"}`;
export const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

export const nameOf = (entry) => entry.product ?? "A purchase";
