// Access to the service's API, on the page's own origin.

/** Problem is an error answer (RFC 9457), or status 0 where none arrived. */
export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
  }

  /** passes tells whether the same request may well succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }

  /** text names the fault and the fields at fault. */
  get text() {
    const fields = this.errors.map((e) => `${e.field}: ${e.detail}`);
    return [this.detail || this.title, ...fields].join('; ');
  }
}

const timeout = 30_000;

/** absolute makes an address of a path. Left relative, it would inherit the
 * user and password of a page opened as https://user:token@host/viewer, and
 * fetch refuses addresses that have them. */
export const absolute = (path) => location.origin + path;

/** get answers { body, response }, or throws a Problem; an abort by the caller
 * is thrown as it is. */
export async function get(path, signal) {
  const signals = [AbortSignal.timeout(timeout)];
  if (signal) signals.push(signal);
  try {
    const response = await fetch(absolute(path), {
      signal: AbortSignal.any(signals),
      headers: { Accept: 'application/json' },
      cache: 'no-store',
    });
    if (!response.ok && !path.startsWith('/-/')) throw await problemOf(response);
    return { body: await response.json(), response };
  } catch (fault) {
    if (signal?.aborted || fault instanceof Problem) throw fault;
    if (fault.name === 'TimeoutError') throw new Problem(0, 'No answer in time', `The service did not answer within ${timeout / 1000} s.`);
    if (fault instanceof SyntaxError) throw new Problem(0, 'Unreadable answer', 'The answer was cut off or is not JSON.');
    throw new Problem(0, 'No connection', 'The service cannot be reached.');
  }
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // An answer of a proxy in between: its status has to do.
  }
  const errors = Array.isArray(body.errors) ? body.errors : [];
  return new Problem(response.status, body.title || response.statusText || `Status ${response.status}`, body.detail || '', errors);
}

/** messagesPath is the path of the newest records, or of those up to a place,
 * or of those that a search finds. */
export function messagesPath({ topic, partition, limit, search, offset, time }) {
  const query = new URLSearchParams({ topic, limit: String(limit) });
  if (partition !== null) query.set('partition', String(partition));
  if (search) query.set('contains', search);
  if (offset) query.set('offset', offset);
  // A time to the second means the whole of that second.
  if (time) query.set('timestamp', String(Math.max(0, Date.parse(time) + 999)));
  return `/messages?${query}`;
}

/** streamPath is the path of the records to come. */
export function streamPath({ topic, partition }) {
  const query = new URLSearchParams({ topic });
  if (partition !== null) query.set('partition', String(partition));
  return `/messages/stream?${query}`;
}

/** nextPath is where a Link header says that the next page is, or null. It
 * never leads to another origin. */
export function nextPath(response) {
  for (const link of (response.headers.get('Link') || '').split(/,\s*(?=<)/)) {
    const match = link.match(/^<([^>]*)>\s*;.*\brel="?next"?/);
    if (!match) continue;
    const url = new URL(match[1], response.url);
    if (url.origin === location.origin) return url.pathname + url.search;
  }
  return null;
}
