// JSON shown as it was written. The text is re-indented token by token and
// never goes through JSON.parse and back: that would round big numbers, drop
// duplicate keys and turn 1.0 into 1, in a tool that is there to show what is
// really in the topic.

const token = /\s+|"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/gy;

/** tokens yields [kind, text] of JSON text, without its white space. Text that
 * stops being JSON (it was cut off, or never was) ends in one "rest". */
export function* tokens(text) {
  token.lastIndex = 0;
  let at = 0;
  // A string is a key when a colon follows: held back by one token.
  let held = null;
  while (at < text.length) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (!match) break;
    at = token.lastIndex;
    const t = match[0];
    const first = t[0];
    if (first === ' ' || first === '\n' || first === '\t' || first === '\r' || !t.trim()) continue;
    if (held !== null) {
      yield [t === ':' ? 'key' : 'string', held];
      held = null;
    }
    if (first === '"') held = t;
    else if (first === '-' || (first >= '0' && first <= '9')) yield ['number', t];
    else if (t.length > 1) yield ['word', t];
    else yield ['mark', t];
  }
  if (held !== null) yield ['string', held];
  if (at < text.length) yield ['rest', text.slice(at)];
}

/** isContainer tells whether text is a JSON object or array. */
export function isContainer(text) {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const deepest = 24;

/** pretty yields [kind, text] of the re-indented text. */
export function* pretty(text) {
  let depth = 0;
  let opened = false; // an empty {} or [] stays on its line
  const line = () => `\n${'  '.repeat(Math.min(depth, deepest))}`;
  for (const [kind, t] of tokens(text)) {
    if (t === '}' || t === ']') {
      depth--;
      if (!opened) yield ['mark', line()];
      opened = false;
      yield ['mark', t];
      continue;
    }
    if (opened) yield ['mark', line()];
    opened = false;
    if (t === '{' || t === '[') {
      depth++;
      opened = true;
      yield ['mark', t];
    } else if (t === ',' && kind === 'mark') {
      yield ['mark', t];
      yield ['mark', line()];
    } else if (t === ':' && kind === 'mark') {
      yield ['mark', ': '];
    } else {
      yield [kind, t];
    }
  }
}
