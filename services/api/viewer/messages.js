// The messages of one topic: the last N, older ones by the cursor, filters over
// what is loaded, and the live tail.

import { get, messagesPath, nextPath, Problem, streamPath } from './api.js';
import { byId, copy, el, remember, save, setText, svg, toast } from './dom.js';
import { moment, number, plural, rate } from './format.js';
import { buildDetail, buildRow, fillPreviews, fillTime, matches, newestFirst, prepare } from './record.js';
import { Tail } from './tail.js';

// Bounds on what the page holds, so that a tab left open for a day still works.
const mostLoaded = 5000;
const mostLive = 2000;
const mostMarked = 400; // rows whose matches are marked
const ranges = { '1m': 60e3, '5m': 300e3, '15m': 900e3, '1h': 3600e3, '24h': 86_400e3 };
export const defaultLimit = 50;
const limits = [10, 25, 50, 100, 250, 500, 1000];

const tokenHint = 'Reload this page and give the token as the password when the browser asks; any user name will do.';

// X-Reason in words; one that is not here is shown as it came.
const reasons = {
  'time-limit': 'the time for reading ran out',
  'byte-limit': 'the answer reached its limit in bytes',
  unreadable: 'some records cannot be read',
  'cursor-limit': 'the timestamps of this topic are so out of order that this page had to end early',
};

// The cause of X-Unreadable in words.
const causes = {
  crc: 'damaged: the checksum does not match',
  codec: 'cannot be decompressed',
  format: 'not in a format of Kafka',
  size: 'larger than the service reads at once',
};

export class Messages {
  #query = null; // { topic, partition, limit } of what is on the page
  #records = []; // newest first
  #ids = new Set();
  #next = null;
  #reason = ''; // why the answer is incomplete, or ''
  #unreadable = []; // places that were left out, in words
  #problem = null;
  #none = false; // there is no topic at all
  #busy = null; // 'load' or 'older'
  #abort = null;
  #trimmed = false;
  #unseen = 0; // arrived above while the person was reading further down
  #current = null; // the record that the keyboard is on
  #filter = { text: '', range: '', from: '', to: '' };
  #pattern = null;
  #utc = remember.get('zone') === 'utc';
  #announced = 0;
  #widths = { offset: 0, key: 0 }; // of these columns, in characters
  #retryTimer;

  /** onProblem hears of answers that concern the whole page; onFilter and
   * onLive of what belongs into the page's address. */
  constructor({ onProblem, onFilter, onLive }) {
    this.on = { problem: onProblem, filter: onFilter, live: onLive };
    this.tail = new Tail({
      onRecords: (batch) => this.#arrive(batch),
      onOpen: () => this.#catchUp(),
      onChange: () => this.#drawLive(),
      onRefused: (problem) => {
        this.#note(`Live ended: ${problem.text}`);
        this.on.live(false);
      },
    });
    this.#wire();
    this.#drawZone();
    this.#draw();
  }

  /** show makes the page show query; filter and live come with the address. */
  show(query, filter, live) {
    const same = this.#query && ['topic', 'partition', 'limit'].every((k) => this.#query[k] === query[k]);
    this.#setFilter(filter);
    if (same) {
      this.#applyFilter();
    } else {
      const sameStream = this.#query && this.#query.topic === query.topic && this.#query.partition === query.partition;
      if (!sameStream) this.tail.stop();
      this.#query = query;
      this.#fillLimit();
      this.load(!sameStream);
    }
    if (live && this.tail.state === 'off') this.tail.start(streamPath(query), messagesPath({ ...query, limit: 1 }));
    if (!live && this.tail.state !== 'off') this.tail.stop();
  }

  /** load reads the newest records anew. Rows of the same topic stay, dimmed,
   * until the answer is there; those of another one make way at once. */
  async load(clear = false) {
    const query = this.#query;
    if (!query) return;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    clearTimeout(this.#retryTimer);
    this.#busy = 'load';
    if (clear) {
      this.#problem = null;
      this.#note('');
      this.#reset([]);
    }
    this.#draw();
    try {
      const { body, response } = await get(messagesPath(query), abort.signal);
      this.#problem = null;
      this.#reset(body.map(prepare));
      this.#took(response);
    } catch (fault) {
      if (abort.signal.aborted) return;
      this.#fail(fault, clear);
    }
    this.#busy = null;
    this.#draw();
    if (this.tail.state === 'live') this.#catchUp();
  }

  async older() {
    if (!this.#next || this.#busy) return;
    const abort = (this.#abort = new AbortController());
    this.#busy = 'older';
    this.#draw();
    try {
      const { body, response } = await get(this.#next, abort.signal);
      const added = body.map(prepare).filter((r) => !this.#ids.has(r.id));
      this.#append(added);
      this.#took(response);
    } catch (fault) {
      if (abort.signal.aborted) return;
      if (!(fault instanceof Problem)) throw fault;
      this.#note(`Older records could not be read: ${fault.text}`);
      this.on.problem(fault);
    }
    this.#busy = null;
    this.#draw();
  }

  /** idle is told why there is no topic to show: a Problem, or that this Kafka
   * has none. */
  idle(problem) {
    if (this.#query) return;
    this.#problem = problem;
    this.#none = problem === null;
    this.#draw();
  }

  /** recovered is told when the service answers again. */
  recovered() {
    if (this.#problem?.passes) this.load(true);
  }

  #took(response) {
    this.#next = nextPath(response);
    const complete = response.headers.get('X-Complete') !== 'false';
    const reason = response.headers.get('X-Reason') || 'the service did not say why';
    this.#reason = complete ? '' : (reasons[reason] ?? reason);
    const places = unreadablePlaces(response);
    this.#unreadable.push(...places.filter((place) => !this.#unreadable.includes(place)));
    const notes = this.#unreadable.length === 0 ? [] : [`Left out, because it cannot be read: ${this.#unreadable.join('; ')}.`];
    if (!complete && places.length === 0) notes.push(`Fewer records than asked for: ${this.#reason}.${this.#next ? ' “Load older” goes on from there.' : ''}`);
    this.#note(notes.join(' '));
  }

  #fail(fault, cleared) {
    if (!(fault instanceof Problem)) throw fault;
    this.on.problem(fault);
    if (!cleared && this.#records.length > 0 && fault.passes) {
      this.#note(`Could not reload: ${fault.text} The records below are from before.`);
      return;
    }
    this.#problem = fault;
    this.#reset([]);
    // What passes by itself is tried again: a partition gets its leader back,
    // a busy service a free reader.
    if (fault.passes) this.#retryTimer = setTimeout(() => this.load(true), 5000);
  }

  // ---- the records held, and their rows

  #reset(records) {
    // What was open stays open, where it still is there.
    const open = new Set(this.#records.filter((r) => r.detail).map((r) => r.id));
    const current = this.#current?.id;
    const focused = this.#rows.contains(document.activeElement);
    this.#records = [];
    this.#ids.clear();
    this.#next = null;
    this.#unreadable = [];
    this.#widths = { offset: 0, key: 0 };
    this.#trimmed = false;
    this.#unseen = 0;
    this.#current = null;
    this.#rows.replaceChildren();
    this.#append(records.sort(newestFirst));
    for (const record of this.#records) {
      if (open.has(record.id)) this.#toggle(record, true);
      if (record.id === current) this.#current = record;
    }
    this.#rove(this.#current, focused);
  }

  #append(records) {
    const fragment = document.createDocumentFragment();
    for (const record of records) {
      this.#ids.add(record.id);
      fragment.append(this.#build(record));
    }
    this.#records.push(...records);
    this.#rows.append(fragment);
    if (!this.#current) this.#rove(this.#records.find((r) => r.shown) ?? null);
    this.#mark();
  }

  #build(record) {
    const row = buildRow(record, this.#utc, this.#pattern);
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

  /** insert puts records where their time belongs. A person who reads keeps
   * the place; one who stands at the top sees the newest come in. */
  #insert(records, fresh) {
    const added = records.filter((r) => !this.#ids.has(r.id));
    if (added.length === 0) return;
    const scroller = this.#scroller;
    const reading = scroller.scrollTop > 8 || this.#rows.contains(document.activeElement) || this.#rows.querySelector('.detail') !== null;
    const height = scroller.scrollHeight;
    for (const record of added.sort(newestFirst).reverse()) {
      const at = this.#placeOf(record);
      const row = this.#build(record);
      // A glow for each would make a flood slower, and say nothing.
      if (fresh && added.length <= 30) row.classList.add('fresh');
      const after = this.#records[at];
      this.#rows.insertBefore(row, after ? after.row : null);
      this.#records.splice(at, 0, record);
      this.#ids.add(record.id);
    }
    // Until somebody moves among the rows, the keyboard starts at the top one.
    if (!this.#current || !reading) this.#rove(this.#records.find((r) => r.shown) ?? null);
    if (reading) {
      this.#unseen += added.filter((r) => r.shown).length;
      scroller.scrollTop += scroller.scrollHeight - height;
    }
    const most = this.tail.state === 'off' ? mostLoaded : mostLive;
    if (this.#records.length > most) {
      for (const record of this.#records.splice(most)) {
        this.#ids.delete(record.id);
        record.row.remove();
        record.detail?.remove();
        if (record === this.#current) this.#rove(this.#records[this.#records.length - 1]);
      }
      // The cursor no longer continues what is on the page.
      this.#trimmed = true;
    }
    this.#mark();
  }

  #placeOf(record) {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (newestFirst(record, this.#records[middle]) < 0) high = middle;
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

  // ---- live

  async #catchUp() {
    // What came between the last read and the opened stream is in neither:
    // read the newest once more. load does so too when it ends during a tail.
    if (this.#busy) return;
    const query = this.#query;
    try {
      const { body } = await get(messagesPath(query));
      if (query !== this.#query || this.#busy) return;
      this.#problem = null;
      this.#insert(body.map(prepare), this.#records.length > 0);
      this.#draw();
    } catch (fault) {
      if (fault instanceof Problem) this.on.problem(fault);
      else throw fault;
    }
  }

  #arrive(batch) {
    this.#insert(batch.map(prepare), true);
    this.#draw();
  }

  #drawLive() {
    const { tail } = this;
    const on = tail.state !== 'off';
    byId('live').setAttribute('aria-pressed', String(on));
    byId('live-strip').hidden = !on;
    if (!on) return;
    const state = tail.paused ? 'paused' : tail.state;
    byId('live-state').dataset.state = { live: 'up', paused: 'warn', connecting: 'unknown', waiting: 'down' }[state];
    setText(byId('live-text'), { live: 'Live', paused: 'Paused', connecting: 'Connecting …', waiting: `Connection lost, again in ${Math.max(0, Math.ceil((tail.retryAt - Date.now()) / 1000))} s` }[state]);
    setText(byId('live-rate'), `${rate(tail.perSecond)}/s`);
    const notes = [plural(tail.received, 'record')];
    if (tail.paused && tail.waiting > 0) notes.push(`${number(tail.waiting)} waiting`);
    if (tail.skipped > 0) notes.push(`${number(tail.skipped)} passed unshown`);
    if (this.#trimmed) notes.push(`the newest ${number(mostLive)} are kept`);
    setText(byId('live-note'), notes.join(' · '));
    setText(byId('pause'), tail.paused ? 'Resume' : 'Pause');
    this.#drawSpark(tail.history);
    // Spoken now and then only: a count that changes every second is noise.
    if (Date.now() - this.#announced > 15_000) {
      this.#announced = Date.now();
      setText(byId('live-announce'), `${state === 'live' ? 'Live' : state}: ${plural(tail.received, 'record')} so far, ${rate(tail.perSecond)} per second`);
    }
  }

  #drawSpark(history) {
    const most = Math.max(4, ...history);
    const width = 120 / history.length;
    byId('live-spark').replaceChildren(
      ...history.flatMap((n, i) => (n === 0 ? [] : [svg('rect', { x: (i * width).toFixed(2), width: (width * 0.75).toFixed(2), y: (20 - (n / most) * 20).toFixed(2), height: ((n / most) * 20).toFixed(2) })])),
    );
  }

  // ---- filters: over the records loaded, here in the page

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

  #applyFilter() {
    const source = this.#pattern?.source ?? '';
    for (const record of this.#records) {
      this.#judge(record);
      if (record.shown && record.previewed !== source) fillPreviews(record, this.#pattern);
    }
    if (!this.#current?.shown) this.#rove(this.#records.find((r) => r.shown) ?? null);
    this.#mark();
    this.#draw();
  }

  /** mark highlights the matches without touching the rows; a browser that
   * can't do that shows the same rows without the marks. */
  #mark() {
    if (!globalThis.Highlight || !CSS.highlights) return;
    CSS.highlights.delete('match');
    if (!this.#pattern) return;
    const every = new RegExp(this.#pattern.source, 'giu');
    const found = [];
    let rows = 0;
    for (const record of this.#records) {
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
    const inRows = this.#rows.contains(document.activeElement);
    let at = this.#current ? this.#records.indexOf(this.#current) : -1;
    if (!inRows && this.#current?.shown) return this.#rove(this.#current, true);
    for (at += direction; at >= 0 && at < this.#records.length; at += direction) {
      if (this.#records[at].shown) return this.#rove(this.#records[at], true);
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

  toggleLive() {
    if (this.#query) this.on.live(this.tail.state === 'off');
  }

  togglePause() {
    if (this.tail.state !== 'off') this.tail.pause(!this.tail.paused);
  }

  focusFilter() {
    byId('filter').focus();
    byId('filter').select();
  }

  // ---- the page

  #rows = byId('rows');

  /** On a large screen the table scrolls in its frame, on a small one the page does. */
  get #scroller() {
    const frame = byId('scroller');
    return getComputedStyle(frame).overflowY === 'auto' ? frame : document.scrollingElement;
  }

  #wire() {
    for (const limit of limits) byId('limit').append(el('option', { value: String(limit), selected: limit === defaultLimit }, number(limit)));
    let typing;
    byId('filter').addEventListener('input', (event) => {
      clearTimeout(typing);
      const text = event.target.value;
      typing = setTimeout(() => this.on.filter({ ...this.#filter, text }), 120);
    });
    for (const name of ['range', 'from', 'to']) {
      byId(name).addEventListener('change', (event) => this.on.filter({ ...this.#filter, [name]: event.target.value }));
    }
    byId('toolbar').addEventListener('submit', (event) => {
      event.preventDefault();
      // Enter in the filter field means the filter, not a new read.
      if (document.activeElement === byId('filter')) this.#rove(this.#records.find((r) => r.shown) ?? null, true);
      else this.load();
    });
    byId('copy').addEventListener('click', () => {
      const shown = this.#records.filter((r) => r.shown);
      copy(JSON.stringify(shown.map((r) => r.raw), null, 2), `${plural(shown.length, 'record')} as JSON`);
    });
    byId('export').addEventListener('click', () => this.#export());
    byId('live').addEventListener('click', () => this.toggleLive());
    byId('pause').addEventListener('click', () => this.togglePause());
    byId('older').addEventListener('click', () => this.older());
    byId('to-top').addEventListener('click', () => this.#toTop());
    byId('zone').addEventListener('click', () => {
      this.#utc = !this.#utc;
      remember.set('zone', this.#utc ? 'utc' : null);
      for (const record of this.#records) fillTime(record, this.#utc);
      this.#drawZone();
    });
    this.#rows.addEventListener('click', (event) => {
      const row = event.target.closest('tr.row');
      // A click that ends a selection of text is not a wish to open the row.
      if (!row || String(getSelection()) !== '') return;
      this.#rove(row.record);
      this.#toggle(row.record);
    });
    for (const target of [byId('scroller'), document]) {
      target.addEventListener('scroll', () => {
        if (this.#unseen > 0 && this.#scroller.scrollTop <= 8) {
          this.#unseen = 0;
          this.#drawToTop();
        }
      }, { passive: true });
    }
    // "The last five minutes" end later with every second.
    setInterval(() => {
      if (ranges[this.#filter.range] && !document.hidden) this.#applyFilter();
    }, 10_000);
  }

  /** export saves the records shown, in their order, as the API gave them. */
  #export() {
    const shown = this.#records.filter((r) => r.shown);
    const name = `${this.#query.topic}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.ndjson`;
    save(shown.map((r) => `${JSON.stringify(r.raw)}\n`).join(''), name, 'application/x-ndjson');
    toast(`Exported ${plural(shown.length, 'record')} to ${name}`);
  }

  #toTop() {
    this.#scroller.scrollTo({ top: 0 });
    this.#unseen = 0;
    this.#drawToTop();
    this.#rove(this.#records.find((r) => r.shown) ?? null);
    byId('filter').focus({ preventScroll: true });
    document.activeElement.blur();
  }

  #setFilter(filter) {
    this.#filter = filter;
    const text = filter.text.trim();
    this.#pattern = text ? new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu') : null;
    if (byId('filter').value.trim() !== text) byId('filter').value = text;
    for (const name of ['range', 'from', 'to']) byId(name).value = filter[name];
    byId('custom-range').hidden = filter.range !== 'custom';
  }

  #fillLimit() {
    const select = byId('limit');
    const { limit } = this.#query;
    select.querySelector('[data-extra]')?.remove();
    if (!limits.includes(limit)) select.append(el('option', { value: String(limit), 'data-extra': '' }, number(limit)));
    select.value = String(limit);
  }

  #drawZone() {
    setText(byId('zone'), this.#utc ? 'Time (UTC)' : 'Time (local)');
    byId('zone').setAttribute('aria-label', this.#utc ? 'Time in UTC; switch to local time' : 'Local time; switch to UTC');
  }

  #drawToTop() {
    const button = byId('to-top');
    button.hidden = this.#unseen === 0;
    setText(button, `↑ ${number(this.#unseen)} new`);
  }

  #note(text) {
    byId('note').hidden = text === '';
    setText(byId('note'), text);
  }

  #draw() {
    const shown = this.#records.reduce((n, r) => n + (r.shown ? 1 : 0), 0);
    const total = this.#records.length;
    // Before the first topic is known, it is on its way.
    const waiting = !this.#query && !this.#problem && !this.#none;
    const loading = this.#busy === 'load' || waiting;
    byId('progress').classList.toggle('on', this.#busy !== null || waiting);
    byId('records').setAttribute('aria-busy', String(this.#busy !== null));
    byId('records').classList.toggle('stale', loading && total > 0);
    byId('records').hidden = total === 0 && !loading;
    this.#drawSkeleton(loading && total === 0);
    this.#drawEmpty(loading, shown, total);
    this.#drawLoaded(loading, shown, total);
    this.#drawToTop();
    byId('copy').disabled = byId('export').disabled = shown === 0;
    byId('reload').disabled = byId('live').disabled = !this.#query;

    const older = byId('older');
    const room = total < mostLoaded && !this.#trimmed;
    older.hidden = !this.#next || !room || shown === 0;
    older.disabled = this.#busy !== null;
    setText(older, this.#busy === 'older' ? 'Loading …' : `Load ${number(this.#query?.limit ?? 0)} older`);
    let end = '';
    if (shown > 0 && !loading) {
      if (this.#trimmed) end = `Older rows made way for new ones. Reload to page back from here.`;
      else if (!this.#next && (!this.#reason || this.#unreadable.length > 0)) end = 'That is the beginning of the topic.';
      else if (this.#next && !room) end = `${number(mostLoaded)} records are all that this page holds. Choose one partition to go further back.`;
    }
    setText(byId('end'), end);
  }

  #drawSkeleton(on) {
    const skeleton = byId('skeleton');
    skeleton.hidden = !on;
    if (!on || skeleton.childElementCount > 0) return;
    for (let i = 0; i < 24; i++) skeleton.append(el('div', {}, el('i'), el('i'), el('i'), el('i')));
  }

  #drawEmpty(loading, shown, total) {
    const box = byId('empty');
    box.hidden = loading || shown > 0;
    if (box.hidden) return;
    box.replaceChildren();
    const say = (title, text, ...actions) => box.append(el('h2', {}, title), el('p', {}, text), ...(actions.some(Boolean) ? [el('p', { class: 'empty-actions' }, ...actions.filter(Boolean))] : []));
    const action = (text, work) => el('button', { type: 'button', class: 'button', on: { click: work } }, text);
    const { topic, partition } = this.#query ?? {};
    if (this.#problem) {
      const p = this.#problem;
      const again = this.#query ? action('Try again', () => this.load(true)) : null;
      const newest = el('a', { class: 'button', href: `#${new URLSearchParams({ topic })}` }, `All of ${topic}`);
      const one = partition !== null && partition !== undefined;
      if (p.status === 404 && one) say('No such partition', `${topic} has no partition ${partition}, or is gone altogether.`, newest);
      else if (p.status === 404) say('No such topic', `“${topic}” does not exist, or not any more.`, again, el('a', { class: 'button to-topics', href: '#view=topics' }, 'See the topics'));
      else if (p.status === 400) say('That cannot be shown', p.text, newest);
      else if (p.status === 401) say('A token is needed', tokenHint, action('Reload the page', () => location.reload()));
      else if (p.status === 403) say('Not to be read here', p.text);
      else if (p.passes) say('Nothing can be read at the moment', `${p.text.replace(/\.$/, '')}. The page keeps trying by itself.`, again);
      else say(p.title, p.text, again);
    } else if (this.#none) {
      say('No topics yet', 'This Kafka holds no topic. As soon as one is made, its messages are shown here.');
    } else if (total > 0) {
      const actions = [action('Clear the filters', () => this.on.filter({ text: '', range: '', from: '', to: '' }))];
      if (this.#next && !this.#trimmed) actions.push(action(`Load ${number(this.#query.limit)} older`, () => this.older()));
      say('No match', `None of the ${plural(total, 'loaded record')} ${total === 1 ? 'matches' : 'match'}. Filters see the loaded records only; older ones may match.`, ...actions);
    } else if (this.#unreadable.length > 0) {
      say('Nothing that can be read', `What is here was left out: ${this.#unreadable.join('; ')}.`, this.#next && action('Look further back', () => this.older()));
    } else if (this.#reason) {
      say('Nothing read', `The service found no record within its limits: ${this.#reason}.`, this.#next && action('Look further back', () => this.older()), action('Try again', () => this.load(true)));
    } else if (partition === null || partition === undefined) {
      say('An empty topic', 'No record is in it: none was ever written, or retention has removed them all. Go live to see the first one arrive.', action('Go live', () => this.on.live(true)));
    } else {
      say('An empty partition', `Partition ${partition} holds no record.`, action('All partitions', () => byId('partitions').querySelector('a')?.click()));
    }
  }

  #drawLoaded(loading, shown, total) {
    let text = '';
    if (loading && total === 0) text = 'Reading …';
    else if (this.#problem || this.#none) text = '';
    else if (total === 0) text = 'No records.';
    else {
      const oldest = this.#records[total - 1];
      const reach = Number.isNaN(oldest.at) ? '' : `, back to ${moment(new Date(oldest.at), this.#utc)}`;
      text = this.filtering
        ? `${number(shown)} of ${plural(total, 'loaded record')} match. Filters see loaded records only${reach}.`
        : `${plural(total, 'record')}, newest first${reach}.`;
    }
    setText(byId('loaded'), text);
  }
}

/** unreadablePlaces says in words what an answer's X-Unreadable names, as
 * "partition/first-last (cause), …, and N more". */
function unreadablePlaces(response) {
  const list = response.headers.get('X-Unreadable') ?? '';
  return Array.from(list.matchAll(/(\d+)\/(\d+)-(\d+) \((\w+)\)|and \d+ more/g), ([text, partition, first, last, cause]) => {
    if (!partition) return text;
    const offsets = first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
    return `partition ${partition}, ${offsets} (${causes[cause] ?? cause})`;
  });
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
