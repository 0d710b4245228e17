// How numbers, times and the bytes of records become something to read.

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

export const number = (n) => whole.format(n);
export const compact = (n) => (n < 1000 ? whole.format(n) : short.format(n));
// Offsets are what Kafka counts; transaction markers and compaction leave fewer records.
export const atMost = (n, show = number) => (n === 0 ? 'no records' : `≤ ${show(n)} ${n === 1 ? 'record' : 'records'}`);
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** rate has just enough digits to show that something moves. */
export function rate(perSecond) {
  if (perSecond >= 100) return number(Math.round(perSecond));
  return perSecond.toLocaleString(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  if (n < 1_000_000) return `${(n / 1000).toFixed(1)} kB`;
  return `${(n / 1_000_000).toFixed(1)} MB`;
}

const two = (n) => String(n).padStart(2, '0');

/** clock is the date, and the time of day with milliseconds, in local time or
 * UTC. ISO order: it sorts and never changes its width. */
export function clock(date, utc = false) {
  const part = (name) => (utc ? date[`getUTC${name}`]() : date[`get${name}`]());
  return {
    day: `${part('FullYear')}-${two(part('Month') + 1)}-${two(part('Date'))}`,
    time: `${two(part('Hours'))}:${two(part('Minutes'))}:${two(part('Seconds'))}.${String(part('Milliseconds')).padStart(3, '0')}`,
  };
}

/** moment is clock in one text, to the second. */
export function moment(date, utc = false) {
  const { day, time } = clock(date, utc);
  return `${day} ${time.slice(0, 8)}`;
}

export function clockShort(date, seconds = true) {
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ''}`;
}

/** span is a length of time in its two largest units at most. */
export function span(ms) {
  const s = Math.round(Math.abs(ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ''}`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h${Math.floor((s % 3600) / 60) ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`;
  return plural(Math.floor(s / 86_400), 'day');
}

export const ago = (ms) => (ms < -1000 ? `in ${span(ms)}` : `${span(Math.max(0, ms))} ago`);

// Characters that would be invisible, move the cursor or turn the direction of
// the text around them: shown as what they are. Joiners (200c, 200d) stay,
// since scripts and emoji need them.
const unseen =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const unseenOneLine = new RegExp(`[\\n\\t]|${unseen.source}`, 'g');
const named = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\0': '\\0' };
const escapeOf = (c) => named[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;

// One text of nothing but control characters must not become a million nodes.
const markedEscapes = 2000;

/** appendVisible appends text with what can't be seen made visible and marked. */
export function appendVisible(parent, text, oneLine = false) {
  const pattern = oneLine ? unseenOneLine : unseen;
  let from = 0;
  let marked = 0;
  for (const match of text.matchAll(pattern)) {
    if (marked++ === markedEscapes) {
      parent.append(text.slice(from).replace(pattern, escapeOf));
      return;
    }
    if (match.index > from) parent.append(text.slice(from, match.index));
    const mark = document.createElement('span');
    mark.className = 'esc';
    mark.textContent = escapeOf(match[0]);
    parent.append(mark);
    from = match.index + match[0].length;
  }
  if (from < text.length) parent.append(text.slice(from));
}

/** visible is appendVisible's text, for places that hold text only. */
export const visible = (text) => text.replace(unseenOneLine, escapeOf);

/** bytesOf decodes base64; what isn't base64 gives null. */
export function bytesOf(base64) {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

/** hexDump is the classic one: offset, sixteen bytes (eight on a narrow
 * screen), and what of them prints. */
export function hexDump(data, width = 16) {
  const lines = [];
  for (let at = 0; at < data.length; at += width) {
    const row = data.subarray(at, at + width);
    const hex = Array.from(row, (b) => b.toString(16).padStart(2, '0'));
    if (width > 8) hex.splice(8, 0, '');
    const text = Array.from(row, (b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '·')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.join(' ').padEnd(width * 3 + (width > 8 ? 1 : 0))} ${text}`);
  }
  return lines.join('\n');
}

export const hex = (data) => Array.from(data, (b) => b.toString(16).padStart(2, '0')).join(' ');
