// Access to the API.

const patience = 9000; // ms; the server answers within 5 s

// Trouble is a request that failed. Its kind is "refused" if a retry is pointless,
// "unavailable" if a backend doesn't answer, "unreachable" if the shop itself doesn't.
class Trouble extends Error {
  constructor(kind, detail, after = 0) {
    super(detail);
    this.kind = kind;
    this.after = after; // ms
  }
}

export async function call(path, options = {}) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    const response = await fetch(path, { ...options, signal: abort.signal, cache: "no-store" });
    const body = await response.json().catch(() => null);
    if (response.ok && body !== null) return { body, link: response.headers.get("Link") };
    const detail = [body?.detail, ...(body?.errors ?? []).map((e) => `${e.field} ${e.detail}`)].filter(Boolean).join("; ");
    const kind = [408, 429, 502, 503, 504].includes(response.status) || response.ok ? "unavailable" : "refused";
    throw new Trouble(kind, detail || `The answer was ${response.status}.`, 1000 * (Number(response.headers.get("Retry-After")) || 0));
  } catch (error) {
    throw error instanceof Trouble ? error : new Trouble("unreachable", "The shop can’t be reached from here.");
  } finally {
    clearTimeout(timer);
  }
}

// randomUUID does not exist on plain HTTP.
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
