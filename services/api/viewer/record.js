// One record: its row in the table, and what opens below it.

import { copy, el } from './dom.js';
import { ago, appendVisible, bytes, bytesOf, clock, hex, hexDump, moment, plural } from './format.js';
import { isContainer, pretty, tokens } from './json.js';

const previewLength = 260;
const shownAtFirst = 12_000; // characters of an opened key or value
const shownBytesAtFirst = 512;
const colouredTokens = 20_000; // beyond, plain text: a node per token has its price too
const blockLength = 6000;
const lineHeight = 18.75; // px, of .code in the style sheet
const shortKey = 80;

/** prepare gives a record of the API what the page needs besides. */
export function prepare(raw) {
  return {
    raw,
    id: `${raw.partition}:${raw.offset}`,
    at: Date.parse(raw.timestamp),
    offset: BigInt(raw.offset), // an offset may be beyond what a number holds exactly
    headers: headersOf(raw.headers),
    row: null,
    detail: null,
    shown: true,
  };
}

/** newestFirst is the order of the page: time, then partition, then offset. */
export function newestFirst(a, b) {
  if (a.at !== b.at && !Number.isNaN(a.at) && !Number.isNaN(b.at)) return b.at - a.at;
  if (a.raw.partition !== b.raw.partition) return b.raw.partition - a.raw.partition;
  return a.offset < b.offset ? 1 : a.offset > b.offset ? -1 : 0;
}

// Headers come as a list, since a header may repeat; an object is read too.
function headersOf(headers) {
  if (Array.isArray(headers)) return headers.map((h) => ({ key: String(h.key), value: h.value ?? null, encoding: h.encoding ?? h.valueEncoding }));
  return Object.entries(headers ?? {}).map(([key, value]) => ({ key, value: value === null ? null : String(value) }));
}

const decoder = new TextDecoder();

/** textOf is what a filter searches in a key or value: its text, and for
 * binary what of it reads as text. */
function textOf(content, encoding) {
  if (content === null || content === undefined) return '';
  if (encoding !== 'base64') return content;
  const data = bytesOf(content);
  return data ? decoder.decode(data) : content;
}

export function matches(record, pattern) {
  const { raw } = record;
  return (
    pattern.test(textOf(raw.value, raw.valueEncoding)) ||
    pattern.test(textOf(raw.key, raw.keyEncoding)) ||
    record.headers.some((h) => pattern.test(h.key) || pattern.test(textOf(h.value, h.encoding)))
  );
}

const chip = (text, kind = '', title = '') => el('span', { class: `chip ${kind}`, title }, text);

/** preview fills a cell with one line of a key or value. Where a filter
 * matches beyond the line's end, the line starts near the match. */
function preview(cell, content, encoding, pattern, isValue) {
  cell.replaceChildren();
  if (content === null || content === undefined) {
    cell.append(isValue ? chip('tombstone', 'null', 'The value is null: compaction deletes this key') : chip('null', 'null', 'No key'));
    return;
  }
  if (content === '') {
    cell.append(chip('empty', 'null', 'Zero bytes, which is not null'));
    return;
  }
  if (encoding === 'base64') {
    const data = bytesOf(content.slice(0, 64));
    cell.append(chip('binary', 'binary', 'Not UTF-8 text: shown in hexadecimal'), ' ', el('span', { class: 'hexline' }, data ? hex(data) : content.slice(0, 64)));
    return;
  }
  let from = 0;
  if (pattern && content.length > previewLength / 2) {
    const found = content.search(pattern);
    if (found > previewLength / 3) from = found - 30;
  }
  const text = content.slice(from, from + previewLength);
  if (from > 0) cell.append(el('span', { class: 'esc' }, '… '));
  if (from === 0 && /^\s*[{[]/.test(text)) appendTokens(cell, tokens(text), true);
  else appendVisible(cell, text, true);
}

function appendTokens(parent, list, oneLine = false) {
  for (const [kind, text] of list) appendToken(parent, kind, text, oneLine);
}

function appendToken(parent, kind, text, oneLine = false) {
  if (kind === 'mark') {
    parent.append(text);
  } else if (kind === 'rest') {
    appendVisible(parent, text, oneLine);
  } else {
    const node = el('span', { class: `t-${kind}` });
    appendVisible(node, text, oneLine);
    parent.append(node);
  }
}

/** fill puts long content into code as a column of blocks, of which the
 * browser lays out those in sight only: a megabyte in one block would stall
 * the page for seconds. Blocks end at the end of a line where there is one. */
function fill(code, list) {
  const fragment = document.createDocumentFragment();
  let block;
  let length = 0;
  let lines = 0;
  let budget = colouredTokens;
  const close = () => {
    if (block) block.style.containIntrinsicBlockSize = `auto ${Math.max(lines, Math.ceil(length / 140), 1) * lineHeight}px`;
    block = null;
  };
  const put = (kind, text) => {
    if (!block) {
      block = el('div', { class: 'block' });
      fragment.append(block);
      length = lines = 0;
    }
    appendToken(block, budget-- > 0 ? kind : 'rest', text);
    length += text.length;
    if (text.includes('\n')) lines += text.split('\n').length - 1;
  };
  for (const [kind, text] of list) {
    if (text.length > blockLength) {
      close();
      for (const piece of pieces(text)) {
        // The end of a block is the end of a line already.
        put(kind, piece.endsWith('\n') ? piece.slice(0, -1) : piece);
        close();
      }
    } else if (length > blockLength && block && text[0] === '\n') {
      close();
      put(kind, text.slice(1));
    } else {
      if (length > 2 * blockLength) close();
      put(kind, text);
    }
  }
  close();
  code.replaceChildren(fragment);
}

/** pieces cuts text that is longer than a block, after a line if possible. */
function* pieces(text) {
  let from = 0;
  while (text.length - from > blockLength) {
    const line = text.lastIndexOf('\n', from + blockLength);
    let to = line > from ? line + 1 : from + blockLength;
    // Not between the two halves of one character.
    if (/[\ud800-\udbff]/.test(text[to - 1])) to++;
    yield text.slice(from, to);
    from = to;
  }
  if (from < text.length) yield text.slice(from);
}

/** buildRow makes the row of a record. Cells carry explicit roles, because the
 * style sheet lays rows out as grids, which would take their roles away. */
export function buildRow(record, utc, pattern) {
  const button = el('button', { type: 'button', class: 'expand', tabIndex: -1, 'aria-expanded': 'false' });
  const cell = (name, ...children) => el('td', { role: 'cell', class: name }, ...children);
  record.cells = { button, time: el('time'), key: cell('key'), value: cell('value') };
  record.row = el(
    'tr',
    { role: 'row', class: 'row' },
    cell('x', button),
    cell('time num', record.cells.time),
    cell('p num', el('span', { class: 'p-mark', 'aria-hidden': 'true' }, 'p'), String(record.raw.partition)),
    cell('o num', el('span', { class: 'p-mark', 'aria-hidden': 'true' }, '@'), record.raw.offset),
    record.cells.key,
    record.cells.value,
  );
  record.row.record = record;
  button.setAttribute('aria-label', `Partition ${record.raw.partition}, offset ${record.raw.offset}`);
  fillTime(record, utc);
  fillPreviews(record, pattern);
  return record.row;
}

export function fillTime(record, utc) {
  const { time } = record.cells;
  if (Number.isNaN(record.at)) {
    time.textContent = '–';
    return;
  }
  const date = new Date(record.at);
  const { day, time: ofDay } = clock(date, utc);
  time.dateTime = record.raw.timestamp;
  time.title = `${record.raw.timestamp} (UTC)`;
  time.replaceChildren(el('span', { class: 'day' }, day), ` ${ofDay}`);
}

export function fillPreviews(record, pattern) {
  const { raw, cells } = record;
  preview(cells.key, raw.key, raw.keyEncoding, pattern, false);
  preview(cells.value, raw.value, raw.valueEncoding, pattern, true);
  // What put a record among the dead letters is the first thing to know of it.
  const fault = header(record, 'dlq-error') ?? header(record, 'dlq-reason');
  if (fault) {
    const mark = chip('', 'fault', 'Why this is a dead letter');
    appendVisible(mark, fault.slice(0, 120), true);
    cells.value.prepend(mark, ' ');
  }
  record.previewed = pattern ? pattern.source : '';
}

const header = (record, key) => record.headers.find((h) => h.key === key && h.value && h.encoding !== 'base64')?.value;

/** buildDetail makes the row below an opened record. */
export function buildDetail(record) {
  const { raw } = record;
  const copyRecord = el('button', { type: 'button', class: 'button small', on: { click: () => copy(JSON.stringify(raw, null, 2), 'the record as JSON') } }, 'Copy record as JSON');
  const box = el(
    'div',
    { class: 'detail-box' },
    el('div', { class: 'detail-head' }, facts(record), copyRecord),
    content('Value', raw.value, raw.valueEncoding, true),
    keyIsShort(raw) ? null : content('Key', raw.key, raw.keyEncoding, false),
    headersTable(record),
  );
  record.detail = el('tr', { role: 'row', class: 'detail' }, el('td', { role: 'cell', colSpan: 6 }, box));
  return record.detail;
}

// A short key needs no box of its own.
const keyIsShort = (raw) => raw.key === null || raw.key === undefined || (raw.key.length <= shortKey && raw.keyEncoding !== 'base64' && !raw.key.includes('\n'));

// Where browsers find what belongs to a record elsewhere, with {id} for its id; empty if nowhere.
const place = (name) => document.querySelector(`meta[name="${name}"]`).content;

/** traceOf is the address of the trace that a record belongs to. */
function traceOf(record) {
  const header = record.headers.find((h) => h.key === 'traceparent' && h.encoding !== 'base64');
  const id = /^00-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}$/.exec(header?.value ?? '')?.[1];
  return id && place('trace') ? place('trace').replaceAll('{id}', id) : null;
}

/** wayOf is the address of the page that says what became of a purchase. */
function wayOf(raw) {
  const way = place('way');
  if (!way || raw.valueEncoding === 'base64' || !isContainer(raw.value)) return null;
  try {
    const { eventId, userid } = JSON.parse(raw.value);
    return typeof eventId === 'string' && typeof userid === 'string' && /^[\da-f-]{36}$/i.test(eventId) ? way.replaceAll('{id}', eventId) : null;
  } catch {
    return null;
  }
}

function facts(record) {
  const { raw } = record;
  const list = el('dl', { class: 'facts' });
  const fact = (name, value) => list.append(el('div', {}, el('dt', {}, name), el('dd', { class: 'num' }, value)));
  if (keyIsShort(raw)) {
    const key = el('code');
    if (!raw.key) key.append(chip(raw.key === '' ? 'empty' : 'null', 'null'));
    else appendVisible(key, raw.key, true);
    fact('Key', key);
  }
  if (Number.isNaN(record.at)) fact('Time', 'none');
  else fact('Time', `${moment(new Date(record.at))} here · ${raw.timestamp} · ${ago(Date.now() - record.at)}`);
  fact('Partition', String(raw.partition));
  fact('Offset', raw.offset);
  const way = wayOf(raw);
  if (way) fact('Purchase', el('a', { href: way }, 'Its way'));
  const trace = traceOf(record);
  if (trace) fact('Trace', el('a', { href: trace }, 'Its trace'));
  return list;
}

function headersTable(record) {
  if (record.headers.length === 0) return null;
  const body = el('tbody');
  for (const h of record.headers) {
    const key = el('th', { scope: 'row' });
    appendVisible(key, h.key, true);
    const value = el('td');
    if (h.value === null) value.append(chip('null', 'null'));
    else if (h.value === '') value.append(chip('empty', 'null'));
    else if (h.encoding === 'base64') value.append(chip('binary', 'binary'), ' ', hex(bytesOf(h.value.slice(0, 1024)) ?? new Uint8Array()));
    else appendVisible(value, h.value.slice(0, 4000));
    body.append(el('tr', {}, key, value));
  }
  return el('section', { class: 'part' }, el('div', { class: 'part-head' }, el('h2', {}, 'Headers'), el('span', { class: 'muted' }, plural(record.headers.length, 'header'))), el('div', { class: 'box scroll-x' }, el('table', { class: 'headers' }, body)));
}

/** content shows one key or value: JSON indented and coloured, text as it is,
 * binary in hexadecimal; a long one in part until asked for. */
function content(name, value, encoding, isValue) {
  const head = el('div', { class: 'part-head' }, el('h2', {}, name));
  const part = el('section', { class: 'part' }, head);
  if (value === null || value === undefined) {
    head.append(chip(isValue ? 'tombstone' : 'null', 'null'), el('span', { class: 'muted' }, isValue ? 'null: compaction deletes this key' : 'the record has no key'));
    return part;
  }
  if (value === '') {
    head.append(chip('empty', 'null'), el('span', { class: 'muted' }, 'zero bytes, which is not null'));
    return part;
  }

  const data = encoding === 'base64' ? bytesOf(value) : null;
  const json = encoding !== 'base64' && isContainer(value);
  const size = data ? data.length : new Blob([value]).size;
  const views = data ? ['hex', 'base64'] : json ? ['pretty', 'raw'] : ['text'];
  let view = views[0];
  let all = false;

  const code = el('pre', { class: 'code', tabIndex: 0, 'aria-label': `${name}, ${views[0]}` });
  const more = el('button', { type: 'button', class: 'button small more-text', on: { click: () => { all = true; draw(); code.focus(); } } });
  const draw = () => {
    const long = data && view === 'hex' ? data.length > shownBytesAtFirst : value.length > shownAtFirst;
    code.classList.toggle('wrap', view !== 'hex');
    if (view === 'hex') {
      const narrow = code.clientWidth > 0 && code.clientWidth < 560;
      fill(code, [['rest', hexDump(all ? data : data.subarray(0, shownBytesAtFirst), narrow ? 8 : 16)]]);
    } else if (view === 'pretty') {
      fill(code, all ? pretty(value) : upTo(pretty(value), shownAtFirst));
    } else {
      fill(code, [['rest', all ? value : value.slice(0, shownAtFirst)]]);
    }
    more.hidden = all || !long;
    more.textContent = `Show all ${bytes(size)}`;
    code.classList.toggle('cut', !more.hidden);
  };

  if (encoding === 'base64') head.append(chip('binary', 'binary'));
  else if (json) head.append(chip('JSON'));
  else head.append(chip('text'));
  head.append(el('span', { class: 'muted num' }, bytes(size)));
  if (views.length > 1) {
    const choices = views.map((choice) =>
      el('button', { type: 'button', 'aria-pressed': String(choice === view), on: { click: (event) => {
        view = choice;
        for (const other of choices) other.setAttribute('aria-pressed', String(other === event.currentTarget));
        code.setAttribute('aria-label', `${name}, ${view}`);
        draw();
      } } }, choice));
    head.append(el('span', { class: 'segmented', role: 'group', 'aria-label': `Show ${name.toLowerCase()} as` }, ...choices));
  }
  head.append(el('button', { type: 'button', class: 'button small', on: { click: () => copy(value, `the ${name.toLowerCase()}${data ? ' as base64' : ''}`) } }, data ? 'Copy base64' : 'Copy'));
  part.append(code, more);
  draw();
  // How many bytes fit a line is known once it is laid out.
  if (data) requestAnimationFrame(draw);
  return part;
}

function* upTo(list, length) {
  for (const [kind, text] of list) {
    if (text.length >= length) {
      yield [kind, text.slice(0, length)];
      return;
    }
    length -= text.length;
    yield [kind, text];
  }
}
