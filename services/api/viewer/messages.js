// The messages of one topic: the last N, or those up to an offset or time, or those that a
// search finds; older and newer ones; and the live tail.

import { get, messagesPath, nextPath, Problem, streamPath } from './api.js';
import { byId, setText, toast } from './dom.js';
import { drawEmpty, drawSkeleton } from './empty.js';
import { number } from './format.js';
import { drawLive } from './live.js';
import { loadedText, placeText, reasons, resetText, unreadablePlaces, unreadableText } from './place.js';
import { prepare } from './record.js';
import { Rows } from './rows.js';
import { Tail } from './tail.js';
import { Toolbar } from './toolbar.js';

// Limits on what the page holds, so that a tab left open for a day still works.
const mostLoaded = 5000;
const mostLive = 2000;
const mostNotes = 5;
const newest = { search: '', offset: '', time: '' };
const parts = ['topic', 'partition', 'limit', 'search', 'offset', 'time'];

export class Messages {
  #query = null; // of what is on the page: the parts, by name
  #toolbar;
  #next = null; // path of the older records, or null
  #reason = ''; // why the answer is incomplete, or ''
  #left = []; // in words: what could not be read, and what became of the log
  #searched = { records: 0, back: null }; // how far a search has looked
  #problem = null;
  #none = false; // there is no topic at all
  #busy = null; // 'load', 'older' or 'newer'
  #abort = null;
  #retryTimer;
  rows = new Rows(() => this.#draw());

  /** onProblem hears of answers that concern the whole page; onFilter, onLive
   * and onSeek of what belongs into the page's address. */
  constructor({ onProblem, onFilter, onLive, onSeek }) {
    this.on = { problem: onProblem, filter: onFilter, live: onLive, seek: onSeek };
    this.tail = new Tail({
      onRecords: (batch) => this.#arrive(batch),
      onGap: (name, event) => this.#gap(name, event),
      onOpen: () => this.#catchUp(),
      onChange: () => drawLive(this.tail, this.rows.trimmed ? mostLive : 0),
      onRefused: (problem) => {
        this.#note(`Live ended: ${problem.text}`);
        this.on.live(false);
      },
    });
    this.#toolbar = new Toolbar({
      onFilter,
      onSeek,
      // Enter means the field that it is pressed in, not a new read.
      onSubmit: (field) => {
        if (field === 'filter') this.rows.first(true);
        else if (field !== 'offset' && field !== 'time') this.load();
      },
    });
    this.#wire();
    this.#draw();
  }

  /** show makes the page show query; filter and live come with the address. */
  show(query, filter, live) {
    const before = this.#query;
    const same = (names) => before !== null && names.every((name) => before[name] === query[name]);
    this.#query = query;
    this.#toolbar.fill(query, filter);
    this.rows.filter(filter, query.search);
    if (same(parts)) {
      this.#draw();
    } else {
      if (!same(['topic', 'partition'])) this.tail.stop();
      this.load(!same(['topic', 'partition', 'search', 'offset', 'time']));
    }
    if (live && this.tail.state === 'off') this.tail.start(streamPath(query), messagesPath({ ...query, limit: 1 }));
    if (!live && this.tail.state !== 'off') this.tail.stop();
  }

  /** load reads anew. Rows of the same place stay, dimmed, until the answer is
   * there; those of another one make way at once. */
  async load(clear = false) {
    const query = this.#query;
    if (!query) return;
    clearTimeout(this.#retryTimer);
    if (clear) {
      this.#problem = null;
      this.#reset([]);
    }
    await this.#work('load', async (signal) => {
      try {
        const { body, response } = await get(messagesPath(query), signal);
        this.#problem = null;
        this.#reset(body.map(prepare));
        this.#took(response);
      } catch (fault) {
        if (!signal.aborted) this.#fail(fault, clear);
      }
    });
    if (this.tail.state === 'live') this.#catchUp();
  }

  async older() {
    if (!this.#next || this.#busy) return;
    await this.#work('older', async (signal) => {
      try {
        const { body, response } = await get(this.#next, signal);
        const added = body.map(prepare).filter((r) => !this.rows.has(r.id));
        // A later page of a search may have records newer than the end of the first.
        if (this.#query.search) this.rows.insert(added, false, mostLoaded);
        else this.rows.append(added);
        this.#took(response);
      } catch (fault) {
        if (!signal.aborted) this.#failedMore('Older', fault);
      }
    });
  }

  /** newer goes on above the newest record shown, in the one partition. Offsets
   * may be without a record, so it looks further up until one is found. */
  async newer() {
    if (this.#busy) return;
    const from = BigInt(this.rows.records[0]?.raw.offset ?? this.#query.offset);
    await this.#work('newer', async (signal) => {
      try {
        for (let step = BigInt(this.#query.limit); step < 1n << 40n; step *= 16n) {
          const { body } = await get(messagesPath({ ...this.#query, time: '', offset: String(from + step) }), signal);
          const added = body.map(prepare).filter((r) => r.offset > from);
          if (added.length === 0) continue;
          this.rows.insert(added, true, mostLoaded);
          return;
        }
        toast('There is nothing newer');
      } catch (fault) {
        if (!signal.aborted) this.#failedMore('Newer', fault);
      }
    });
  }

  /** work does one thing at a time; load takes the place of any other. */
  async #work(what, work) {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.#busy = what;
    this.#draw();
    await work(abort.signal);
    if (abort.signal.aborted) return;
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

  #reset(records) {
    this.#next = null;
    this.#left = [];
    this.#searched = { records: 0, back: null };
    this.#note('');
    this.rows.reset(records);
  }

  #took(response) {
    this.#next = nextPath(response);
    const header = (name) => response.headers.get(name);
    const complete = header('X-Complete') !== 'false';
    const reason = header('X-Reason') || 'the service did not say why';
    this.#reason = complete ? '' : (reasons[reason] ?? reason);
    this.#searched.records += Number(header('X-Searched') ?? 0);
    this.#searched.back = header('X-Searched-Back-To');
    const places = unreadablePlaces(header('X-Unreadable') ?? '');
    this.#left.push(...places.filter((place) => !this.#left.includes(place)));
    const notes = this.#left.length === 0 ? [] : [`Left out, because it cannot be read: ${this.#left.join('; ')}.`];
    if (!complete && places.length === 0 && !this.#query.search) notes.push(`Fewer records than asked for: ${this.#reason}.${this.#next ? ' “Load older” continues from there.' : ''}`);
    this.#note(notes.join(' '));
  }

  #fail(fault, cleared) {
    if (!(fault instanceof Problem)) throw fault;
    this.on.problem(fault);
    if (!cleared && this.rows.records.length > 0 && fault.passes) {
      this.#note(`Could not reload: ${fault.text} The records below are from before.`);
      return;
    }
    this.#problem = fault;
    this.#reset([]);
    // Transient errors are retried: a partition gets its leader back,
    // a busy service a free reader.
    if (fault.passes) this.#retryTimer = setTimeout(() => this.load(true), 5000);
  }

  #failedMore(which, fault) {
    if (!(fault instanceof Problem)) throw fault;
    this.#note(`${which} records could not be read: ${fault.text}`);
    this.on.problem(fault);
  }

  // ---- live

  async #catchUp() {
    // Records between the last read and the start of the stream are in neither:
    // read the newest once more. load does so too when it ends during a tail.
    if (this.#busy) return;
    const query = this.#query;
    try {
      const { body } = await get(messagesPath(query));
      if (query !== this.#query || this.#busy) return;
      this.#problem = null;
      this.rows.insert(body.map(prepare), this.rows.records.length > 0, mostLive);
      this.#draw();
    } catch (fault) {
      if (fault instanceof Problem) this.on.problem(fault);
      else throw fault;
    }
  }

  #arrive(batch) {
    this.rows.insert(batch.map(prepare), true, mostLive);
    this.#draw();
  }

  /** gap is told of what comes in place of records. */
  #gap(name, event) {
    // Drop the rows of a log that no longer exists: its offsets come again.
    if (name === 'reset' && event.cause !== 'expired') this.rows.drop(event.partition);
    this.#left.push(name === 'reset' ? resetText(event) : unreadableText(event.partition, event.first, event.last, event.cause));
    this.#left = this.#left.slice(-mostNotes);
    this.#note(`While live: ${this.#left.join('; ')}.`);
    this.#draw();
  }

  // ---- what keys and buttons do

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

  /** search looks on the server for what the filter's field says. */
  search() {
    const text = byId('filter').value.trim();
    if (!text || !this.#query) return this.focusFilter();
    const { offset, time } = this.#query;
    this.on.seek({ search: text, text: '', offset, time });
  }

  #wire() {
    const click = (id, work) => byId(id).addEventListener('click', work);
    click('search', () => this.search());
    click('newer', () => this.newer());
    click('leave', () => this.on.seek(newest));
    click('copy', () => this.rows.copyShown());
    click('export', () => this.rows.export(this.#query.topic));
    click('live', () => this.toggleLive());
    click('pause', () => this.togglePause());
    click('older', () => this.older());
    click('to-top', () => {
      this.rows.toTop();
      this.#drawToTop();
    });
    click('zone', () => {
      this.rows.toggleZone();
      });
  }

  // ---- the page

  #drawToTop() {
    byId('to-top').hidden = this.rows.unseen === 0;
    setText(byId('to-top'), `↑ ${number(this.rows.unseen)} new`);
  }

  #note(text) {
    byId('note').hidden = text === '';
    setText(byId('note'), text);
  }

  #draw() {
    const { records, trimmed } = this.rows;
    const shown = this.rows.shown.length;
    const total = records.length;
    const query = this.#query;
    // The first topic is not known yet.
    const waiting = !query && !this.#problem && !this.#none;
    const loading = this.#busy === 'load' || waiting;
    byId('progress').classList.toggle('on', this.#busy !== null || waiting);
    byId('records').setAttribute('aria-busy', String(this.#busy !== null));
    byId('records').classList.toggle('stale', loading && total > 0);
    byId('records').hidden = total === 0 && !loading;
    drawSkeleton(loading && total === 0);
    setText(byId('loaded'), this.#problem || this.#none ? '' : loadedText(this.rows, loading));
    this.#drawPlace(loading);
    this.#drawToTop();
    byId('copy').disabled = byId('export').disabled = shown === 0;
    byId('reload').disabled = byId('live').disabled = byId('search').disabled = !query;

    const room = total < mostLoaded && !trimmed;
    byId('empty').hidden = loading || shown > 0;
    if (!byId('empty').hidden) {
      const known = { query, problem: this.#problem, none: this.#none, total, unreadable: this.#left, reason: this.#reason, next: room && this.#next };
      drawEmpty(known, { load: () => this.load(true), older: () => this.older(), clear: () => this.on.filter({ text: '', range: '', from: '', to: '' }), newest: () => this.on.seek(newest), live: () => this.on.live(true) });
    }
    const older = byId('older');
    older.hidden = !this.#next || !room || shown === 0;
    older.disabled = this.#busy !== null;
    setText(older, this.#busy === 'older' ? 'Loading …' : query?.search ? 'Search further' : `Load ${number(query?.limit ?? 0)} older`);
    let end = '';
    if (shown > 0 && !loading) {
      if (trimmed) end = `Older rows were removed to make room for new ones. Reload to page back from here.`;
      else if (!this.#next && (!this.#reason || this.#left.length > 0)) end = 'That is the beginning of the topic.';
      else if (this.#next && !room) end = `${number(mostLoaded)} records are all that this page holds. Choose one partition to go further back.`;
    }
    setText(byId('end'), end);
  }

  /** drawPlace says what else than the newest records is shown. */
  #drawPlace(loading) {
    const text = this.#query ? placeText(this.#query, loading ? null : this.#searched) : '';
    byId('place').hidden = text === '';
    setText(byId('place-text'), text);
    const { partition, offset, time, search } = this.#query ?? {};
    byId('newer').hidden = partition === null || (!offset && !time) || loading || (!offset && this.rows.records.length === 0);
    byId('newer').disabled = this.#busy !== null;
    setText(byId('leave'), search ? 'End the search' : 'Back to the newest');
  }
}
