// The records held, newest first, and their rows: which are shown, which one the
// keyboard is on, and what stays in place while new ones come in.

import { byId, copy, remember, save, setText, toast } from './dom.js';
import { plural } from './format.js';
import { buildDetail, buildRow, fillPreviews, fillTime, matches, newestFirst } from './record.js';

const mostMarked = 400; // rows whose matches are marked
const ranges = { '1m': 60e3, '5m': 300e3, '15m': 900e3, '1h': 3600e3, '24h': 86_400e3 };

export class Rows {
  records = []; // newest first
  trimmed = false; // the oldest made way: no cursor continues what is here
  unseen = 0; // arrived above while the person was reading further down
  utc = false; // whether times are shown in UTC
  #ids = new Set();
  #current = null; // the record that the keyboard is on
  #filter = { text: '', range: '', from: '', to: '' };
  #pattern = null; // of the filter
  #marked = null; // what is marked in the rows: the filter, or what was searched for
  #widths = { offset: 0, key: 0 }; // of these columns, in characters
  #body = byId('rows');

  /** onChange hears of a filter that ends with time and of rows scrolled to. */
  constructor(onChange) {
    this.#body.addEventListener('click', (event) => {
      const row = event.target.closest('tr.row');
      // A click that ends a selection of text is not a wish to open the row.
      if (!row || String(getSelection()) !== '') return;
      this.#rove(row.record);
      this.#toggle(row.record);
    });
    for (const target of [byId('scroller'), document]) {
      target.addEventListener('scroll', () => {
        if (this.unseen === 0 || this.#scroller.scrollTop > 8) return;
        this.unseen = 0;
        onChange();
      }, { passive: true });
    }
    this.#setZone(remember.get('zone') === 'utc');
    byId('zone').addEventListener('click', () => {
      this.#setZone(!this.utc);
      remember.set('zone', this.utc ? 'utc' : null);
    });
    // "The last five minutes" end later with every second.
    setInterval(() => {
      if (!ranges[this.#filter.range] || document.hidden) return;
      this.#apply();
      onChange();
    }, 10_000);
  }

  get shown() {
    return this.records.filter((r) => r.shown);
  }

  has(id) {
    return this.#ids.has(id);
  }

  reset(records) {
    // What was open stays open, where it still is there.
    const open = new Set(this.records.filter((r) => r.detail).map((r) => r.id));
    const current = this.#current?.id;
    const focused = this.#body.contains(document.activeElement);
    this.records = [];
    this.#ids.clear();
    this.#widths = { offset: 0, key: 0 };
    this.trimmed = false;
    this.unseen = 0;
    this.#current = null;
    this.#body.replaceChildren();
    this.append(records.sort(newestFirst));
    for (const record of this.records) {
      if (open.has(record.id)) this.#toggle(record, true);
      if (record.id === current) this.#current = record;
    }
    this.#rove(this.#current, focused);
  }

  append(records) {
    const fragment = document.createDocumentFragment();
    for (const record of records) {
      this.#ids.add(record.id);
      fragment.append(this.#build(record));
    }
    this.records.push(...records);
    this.#body.append(fragment);
    if (!this.#current) this.first();
    this.#mark();
  }

  /** insert puts records where their time belongs, and keeps the newest ones up
   * to a number. A person who reads keeps the place; one who stands at the top
   * sees the newest come in. */
  insert(records, fresh, most) {
    const added = records.filter((r) => !this.#ids.has(r.id));
    if (added.length === 0) return;
    const scroller = this.#scroller;
    const reading = scroller.scrollTop > 8 || this.#body.contains(document.activeElement) || this.#body.querySelector('.detail') !== null;
    const height = scroller.scrollHeight;
    for (const record of added.sort(newestFirst).reverse()) {
      const at = this.#placeOf(record);
      const row = this.#build(record);
      // A glow for each would make a flood slower, and say nothing.
      if (fresh && added.length <= 30) row.classList.add('fresh');
      const after = this.records[at];
      this.#body.insertBefore(row, after ? after.row : null);
      this.records.splice(at, 0, record);
      this.#ids.add(record.id);
    }
    // Until somebody moves among the rows, the keyboard starts at the top one.
    if (!this.#current || !reading) this.first();
    if (reading) {
      this.unseen += added.filter((r) => r.shown).length;
      scroller.scrollTop += scroller.scrollHeight - height;
    }
    if (this.records.length > most) {
      for (const record of this.records.splice(most)) {
        this.#remove(record);
        if (record === this.#current) this.#rove(this.records[this.records.length - 1]);
      }
      // The cursor no longer continues what is on the page.
      this.trimmed = true;
    }
    this.#mark();
  }

  /** drop removes the records of a partition whose log is gone. */
  drop(partition) {
    const gone = this.records.filter((r) => r.raw.partition === partition);
    this.records = this.records.filter((r) => r.raw.partition !== partition);
    for (const record of gone) this.#remove(record);
    if (gone.includes(this.#current)) this.first();
  }

  #remove(record) {
    this.#ids.delete(record.id);
    record.row.remove();
    record.detail?.remove();
  }

  #build(record) {
    const row = buildRow(record, this.utc, this.#marked);
    this.#widen('offset', record.raw.offset.length, 6, 20);
    this.#widen('key', record.raw.key?.length ?? 4, 6, 16);
    this.#judge(record);
    return row;
  }

  /** widen gives a column the room that its content takes, and leaves the rest
   * to the value. It never shrinks, so that rows stay put while live. */
  #widen(column, characters, least, most) {
    const width = Math.min(Math.max(characters, least), most);
    if (width <= this.#widths[column]) return;
    this.#widths[column] = width;
    byId('records').style.setProperty(`--${column}`, `${width + 0.5}ch`);
  }

  #placeOf(record) {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (newestFirst(record, this.records[middle]) < 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #toggle(record, open = record.detail === null) {
    if (open && !record.detail) {
      record.row.after(buildDetail(record));
    } else if (!open && record.detail) {
      record.detail.remove();
      record.detail = null;
    }
    record.row.classList.toggle('open', open);
    record.cells.button.setAttribute('aria-expanded', String(open));
  }

  // ---- filters: over the records loaded, here in the page

  /** filter shows what matches, and marks it; without a text, what was searched for. */
  filter(filter, search) {
    const patternOf = (text) => (text.trim() ? new RegExp(text.trim().replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu') : null);
    this.#filter = filter;
    this.#pattern = patternOf(filter.text);
    this.#marked = this.#pattern ?? patternOf(search);
    this.#apply();
  }

  #judge(record) {
    const { range, from, to } = this.#filter;
    let low = -Infinity;
    let high = Infinity;
    if (range === 'custom') {
      if (from) low = Date.parse(from);
      // A time to the second means the whole of that second.
      if (to) high = Date.parse(to) + 999;
    } else if (range) {
      low = Date.now() - ranges[range];
    }
    const inTime = !range || Number.isNaN(record.at) || (record.at >= low && record.at <= high);
    record.shown = inTime && (!this.#pattern || matches(record, this.#pattern));
    record.row.hidden = !record.shown;
    if (record.detail) record.detail.hidden = !record.shown;
  }

  #apply() {
    const source = this.#marked?.source ?? '';
    for (const record of this.records) {
      this.#judge(record);
      if (record.shown && record.previewed !== source) fillPreviews(record, this.#marked);
    }
    if (!this.#current?.shown) this.first();
    this.#mark();
  }

  /** mark highlights the matches without touching the rows; a browser that
   * can't do that shows the same rows without the marks. */
  #mark() {
    if (!globalThis.Highlight || !CSS.highlights) return;
    CSS.highlights.delete('match');
    if (!this.#marked) return;
    const every = new RegExp(this.#marked.source, 'giu');
    const found = [];
    let rows = 0;
    for (const record of this.records) {
      if (!record.shown) continue;
      if (rows++ === mostMarked) break;
      for (const cell of [record.cells.key, record.cells.value]) {
        found.push(...rangesOf(cell, every));
      }
    }
    CSS.highlights.set('match', new Highlight(...found));
  }

  get filtering() {
    return this.#pattern !== null || this.#filter.range !== '';
  }

  // ---- keyboard

  /** first puts the keyboard at the top. */
  first(focus = false) {
    this.#rove(this.records.find((r) => r.shown) ?? null, focus);
  }

  #rove(record, focus = false) {
    if (this.#current) this.#current.cells.button.tabIndex = -1;
    this.#current = record;
    if (!record) return;
    record.cells.button.tabIndex = 0;
    if (focus) {
      record.cells.button.focus({ preventScroll: true });
      record.row.scrollIntoView({ block: 'nearest' });
    }
  }

  /** step moves to the next shown record in a direction. */
  step(direction) {
    const inRows = this.#body.contains(document.activeElement);
    let at = this.#current ? this.records.indexOf(this.#current) : -1;
    if (!inRows && this.#current?.shown) return this.#rove(this.#current, true);
    for (at += direction; at >= 0 && at < this.records.length; at += direction) {
      if (this.records[at].shown) return this.#rove(this.records[at], true);
    }
  }

  toggleCurrent() {
    if (this.#current?.shown) {
      this.#toggle(this.#current);
      this.#rove(this.#current, true);
    }
  }

  copyCurrent() {
    if (this.#current?.shown) copy(JSON.stringify(this.#current.raw, null, 2), 'the record as JSON');
  }

  toTop() {
    this.#scroller.scrollTo({ top: 0 });
    this.unseen = 0;
    this.first();
    byId('filter').focus({ preventScroll: true });
    document.activeElement.blur();
  }

  copyShown() {
    const { shown } = this;
    copy(JSON.stringify(shown.map((r) => r.raw), null, 2), `${plural(shown.length, 'record')} as JSON`);
  }

  /** export saves the records shown, in their order, as the API gave them. */
  export(topic) {
    const { shown } = this;
    const name = `${topic}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.ndjson`;
    save(shown.map((r) => `${JSON.stringify(r.raw)}\n`).join(''), name, 'application/x-ndjson');
    toast(`Exported ${plural(shown.length, 'record')} to ${name}`);
  }

  #setZone(utc) {
    this.utc = utc;
    for (const record of this.records) fillTime(record, utc);
    setText(byId('zone'), utc ? 'Time (UTC)' : 'Time (local)');
    byId('zone').setAttribute('aria-label', utc ? 'Time in UTC; switch to local time' : 'Local time; switch to UTC');
  }

  /** On a large screen the table scrolls in its frame, on a small one the page does. */
  get #scroller() {
    const frame = byId('scroller');
    return getComputedStyle(frame).overflowY === 'auto' ? frame : document.scrollingElement;
  }
}

function rangesOf(cell, pattern) {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const nodes = [];
  let text = '';
  while (walker.nextNode()) {
    nodes.push({ node: walker.currentNode, from: text.length });
    text += walker.currentNode.data;
  }
  const at = (index) => {
    const entry = nodes.findLast((n) => n.from <= index);
    return [entry.node, Math.min(index - entry.from, entry.node.data.length)];
  };
  return [...text.matchAll(pattern)].map((match) => {
    const range = new Range();
    range.setStart(...at(match.index));
    range.setEnd(...at(match.index + match[0].length));
    return range;
  });
}
